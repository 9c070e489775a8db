# SPDX-License-Identifier: Apache-2.0
"""What happens between an upload's check and its place in the catalog, while others publish and delete."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import Conflict, InvalidInput
from lerobot_arena.platform.catalog.glb import GlbFacts
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, Item
from lerobot_arena.platform.catalog.publishing import BENCHMARK, OVERLAY, Publisher, Upload
from lerobot_arena.platform.catalog.refs import DEFAULT_SCENE
from lerobot_arena.platform.catalog.robot_model import RobotFacts
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.blobs import Blobs
from lerobot_arena.platform.storage.database import open_engine

ROBOT_FIELDS = {"title": "R", "robotKey": "lab/r"}
POLICY_FIELDS = {
    "slugPath": "p", "title": "P", "runtimeAdapter": "onnx_metadata_v1", "defaultRobotRef": "anna/cart",
}  # fmt: skip


class Checks:
    """Takes everything; `meanwhile` happens during a check."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Any] = lambda: None

    def scene(self, _: Path) -> GlbFacts:
        self.meanwhile()
        return GlbFacts(1, 1, 1, 0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def robot(self, _: Any) -> RobotFacts:
        self.meanwhile()
        return RobotFacts("robot.xml", ("joint",), True, 0.002, 7, 0, 2, 1, 0, (), 1.0)

    def policy(self, *_: Any, **__: Any) -> Any:
        self.meanwhile()
        spec = SimpleNamespace(control_dt=0.02, to_json=dict)
        return SimpleNamespace(control_spec=spec, config={"note": "fine"}, run=None)


@dataclass
class Shop:
    """A catalog with the scene that is the default."""

    folder: Path
    shelf: Shelf
    blobs: Blobs
    checks: Checks = field(default_factory=Checks)

    def __post_init__(self) -> None:
        self.publisher = Publisher(self.shelf, self.blobs, self.checks, clock=ManualClock())  # type: ignore[arg-type]
        owner, _, slug = DEFAULT_SCENE.partition("/")
        self.shelf.put(Item(kind=SCENE, owner=owner, slug=slug, title="P", facts={"mode": BENCHMARK}))

    def file(self, content: str) -> Upload:
        path = self.folder / f"upload-{content}"
        path.write_text(content)
        return Upload("file", path)

    def robot(self, owner: str, slug: str, content: str) -> Item:
        return self.publisher.robot(owner, {**ROBOT_FIELDS, "slugPath": slug}, self.file(content))

    def policy(self, **fields: str) -> Item:
        return self.publisher.policy("anna", {**POLICY_FIELDS, **fields}, self.file("onnx"))

    @property
    def stored(self) -> set[str]:
        return {path.name for path in (self.folder / "blobs").rglob("*") if path.is_file()}

    @property
    def needed(self) -> set[str]:
        return {file.sha256 for item in self.shelf.list() for file in item.files.values()}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    engine = open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
    yield Shop(tmp_path, Shelf(engine), Blobs(str(tmp_path / "blobs")))
    engine.dispose()


def test_scenes_that_come_at_once_have_numbers_and_no_file_is_left_over(shop: Shop) -> None:
    together = threading.Barrier(3)
    shop.checks.meanwhile = lambda: together.wait(20)
    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(lambda n: shop.publisher.scene("anna", {}, shop.file(f"{n}")), range(3)))
    assert {item.slug for item in made} == {"my-scene", "my-scene-2", "my-scene-3"}
    assert shop.stored == shop.needed and len(shop.stored) == 3


def test_what_cannot_be_kept_leaves_no_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.robot("anna", "cart", "shared")

    def refuse(*_: Any, **__: Any) -> Item:
        raise Conflict("Somebody else was first.")

    monkeypatch.setattr(shop.shelf, "put", refuse)
    for content in ("own", "shared"):
        with pytest.raises(Conflict, match="first"):
            shop.robot("anna", "other", content)
    assert shop.stored == shop.needed and len(shop.stored) == 1


def test_what_is_published_while_its_last_item_goes_has_its_file(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.robot("anna", "cart", "same")
    delete, others = shop.blobs.delete, ThreadPoolExecutor(1)

    def while_deleting(sha256: str) -> None:
        publishing = others.submit(shop.robot, "eve", "copy", "same")
        threading.Event().wait(0.5)  # nothing tells that it waits for us
        assert not publishing.done()
        delete(sha256)

    monkeypatch.setattr(shop.blobs, "delete", while_deleting)
    shop.publisher.delete(ROBOT, "anna/cart")
    others.shutdown()
    assert [item.ref for item in shop.shelf.list(ROBOT)] == ["eve/copy"]
    assert shop.stored == shop.needed and len(shop.stored) == 1


def test_a_file_that_goes_between_its_upload_and_its_item_is_uploaded_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.robot("anna", "cart", "same")
    write, is_first = shop.blobs.write_file, iter([True])

    def then_deleted(*args: Any, **kwargs: Any) -> Any:
        blob = write(*args, **kwargs)
        if next(is_first, False):
            shop.publisher.delete(ROBOT, "anna/cart")
        return blob

    monkeypatch.setattr(shop.blobs, "write_file", then_deleted)
    shop.robot("eve", "copy", "same")
    assert shop.stored == shop.needed and len(shop.stored) == 1


def test_a_robot_that_goes_while_its_policy_is_checked_is_missed(shop: Shop) -> None:
    shop.robot("anna", "cart", "zip")
    shop.checks.meanwhile = lambda: shop.publisher.delete(ROBOT, "anna/cart")
    with pytest.raises(InvalidInput, match=r"no robot 'anna/cart'.*deleted"):
        shop.policy()
    assert shop.shelf.list(POLICY) == [] and shop.stored == set()


def test_a_robot_is_needed_by_a_policy_of_the_same_name(shop: Shop) -> None:
    shop.robot("anna", "cart", "zip")
    shop.policy(slugPath="cart")
    with pytest.raises(Conflict, match="policy anna/cart"):
        shop.publisher.delete(ROBOT, "anna/cart")


def test_a_look_covers_a_scene_that_has_physics(shop: Shop) -> None:
    shop.publisher.scene("anna", {"slugPath": "look"}, shop.file("glb"))
    with pytest.raises(InvalidInput, match=f"anna/look has no physics; name {DEFAULT_SCENE}"):
        shop.publisher.scene("anna", {"benchmarkSceneRef": "anna/look"}, shop.file("glb"))
    with pytest.raises(InvalidInput, match="ARENA_SEED_CATALOG"):
        shop.publisher.scene("anna", {"benchmarkSceneRef": "lab/none"}, shop.file("glb"))
    assert shop.shelf.get(SCENE, "anna/look").facts["mode"] == OVERLAY


@pytest.mark.parametrize("name", ["title", "description", "robotKey"])
@pytest.mark.parametrize("text", ["a\0b", "a" * 10_001])
def test_texts_that_cannot_be_kept_whole_are_refused_by_name(shop: Shop, name: str, text: str) -> None:
    fields = {**ROBOT_FIELDS, "slugPath": "r", name: text}
    with pytest.raises(InvalidInput, match=name):
        shop.publisher.robot("anna", fields, shop.file("zip"))
    assert shop.stored == set()


def test_a_config_that_no_answer_could_carry_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.robot("anna", "cart", "zip")
    told = shop.checks.policy()
    told.config = {"note": "\ud800"}
    monkeypatch.setattr(shop.checks, "policy", lambda *_, **__: told)
    with pytest.raises(InvalidInput, match="config"):
        shop.policy()
