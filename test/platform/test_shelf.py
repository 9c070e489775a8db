# SPDX-License-Identifier: Apache-2.0
"""Catalog items: versions, search, references, and which files may go."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.core.errors import Conflict, NotFound
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, FileRef, Item
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.database import open_engine


def item(kind: str = POLICY, slug: str = "walk", owner: str = "lab", **fields: Any) -> Item:
    content = fields.pop("content", "a")
    files = {"model": FileRef("policy.onnx", content * 64, 3)}
    return Item(kind=kind, owner=owner, slug=slug, **{"title": "Walk", "files": files, **fields})


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    engine = open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
    yield Shelf(engine)
    engine.dispose()


def test_an_item_comes_back_as_it_was(shelf: Shelf) -> None:
    published = item(facts={"controlDt": 0.02, "nested": [1, {"a": None}]}, created_at=5.0, updated_at=6.0)
    assert shelf.put(published) == published
    assert shelf.get(POLICY, "lab/walk") == published
    with pytest.raises(NotFound, match="lab/run"):
        shelf.get(POLICY, "lab/run")
    with pytest.raises(NotFound):
        shelf.get(ROBOT, "lab/walk")


def test_publishing_again_makes_a_version_and_keeps_the_old_one(shelf: Shelf) -> None:
    first = shelf.put(item(created_at=1.0, content="a"))
    second = shelf.put(item(created_at=2.0, updated_at=2.0, content="b"))
    assert (second.version, second.created_at) == (2, 1.0)
    assert shelf.get(POLICY, "lab/walk") == second
    assert shelf.get(POLICY, "lab/walk", 1) == first
    assert [one.version for one in shelf.versions(POLICY, "lab/walk")] == [2, 1]
    assert [one.ref for one in shelf.list()] == ["lab/walk"]
    with pytest.raises(Conflict):
        shelf.put(item(), new_only=True)


def test_search_finds_words_wherever_they_are(shelf: Shelf) -> None:
    shelf.put(item(slug="walk", title="Trot", description="On 100% grass"))
    shelf.put(item(slug="deep/path", title="Run"))
    shelf.put(item(SCENE, slug="park", title="Parkour"))

    def found(text: str, kind: str | None = None) -> set[str]:
        return {one.ref for one in shelf.list(kind, text=text)}

    assert found("TROT grass") == {"lab/walk"}
    assert found("100%") == {"lab/walk"} and found("1_0") == set()
    assert found("lab", SCENE) == {"lab/park"}
    assert shelf.get(POLICY, "lab/deep/path").slug == "deep/path"
    assert len(shelf.list(limit=2)) == 2 and len(shelf.list(skip=2)) == 1
    assert shelf.slugs(POLICY, "lab") == {"walk", "deep/path"}


def test_what_is_needed_cannot_be_deleted(shelf: Shelf) -> None:
    shelf.put(item(ROBOT, slug="pony"))
    shelf.put(item(facts={"defaultRobotRef": "lab/pony"}))
    with pytest.raises(Conflict, match="policy lab/walk"):
        shelf.delete(ROBOT, "lab/pony")
    shelf.delete(POLICY, "lab/walk")
    shelf.delete(ROBOT, "lab/pony")
    assert shelf.list() == []
    with pytest.raises(NotFound):
        shelf.delete(ROBOT, "lab/pony")


def test_only_files_that_nothing_needs_may_go(shelf: Shelf) -> None:
    shelf.put(item(content="a"))
    shelf.put(item(content="b"))
    shelf.put(item(slug="other", content="b"))
    assert shelf.delete(POLICY, "lab/walk") == {"a" * 64}
    assert shelf.delete(POLICY, "lab/other") == {"b" * 64}


def test_the_content_hash_follows_files_and_facts_only() -> None:
    one = item(facts={"controlDt": 0.02})
    assert one.content == replace(one, title="Other", updated_at=9.0).content
    assert one.content != replace(one, facts={"controlDt": 0.01}).content
    assert one.content != item(facts={"controlDt": 0.02}, content="b").content
