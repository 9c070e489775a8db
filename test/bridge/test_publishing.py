# SPDX-License-Identifier: Apache-2.0
"""Seed 2's publishing on a real port: by the `runrobot` client of PyPI, and by requests it would never send."""

import struct
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.platform.catalog.item import SCENE, Item
from lerobot_arena.testing.bridge_rig import PASSWORD
from lerobot_arena.testing.catalog_files import (
    cart_deploy,
    cart_policy,
    deploy_onnx,
    glb_bytes,
    robot_zip,
    triangle_document,
)
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge
from lerobot_arena.testing.runrobot_client import load_runrobot
from lerobot_arena.testing.seed_schemas import check_answer

SEED = Path(__file__).with_name("seed2.openapi.json")
PARKOUR = "chasebrignac/parkour"


@dataclass
class World:
    """A bridge, and Anna, who publishes with a token."""

    bridge: LiveBridge
    token: str
    client: Any
    error: type[Exception]

    def post(self, what: str, fields: dict[str, str], **files: Any) -> httpx.Response:
        return httpx.post(
            f"{self.bridge.url}/api/publish/{what}",
            data=fields,
            files=files or None,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=120,
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.bridge.url + path if path.startswith("/") else path, headers=headers)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """This module's own folder for temporary files: others test at the same time."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("tmp"))
    yield Path(tempfile.tempdir)
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Iterator[World]:
    runrobot = load_runrobot()
    with live_bridge(tmp_path_factory.mktemp("data"), beats=False) as bridge:
        accounts, published = bridge.services.accounts, bridge.services.published
        accounts.users.create("anna", PASSWORD)
        _, token = accounts.tokens.create("anna", "test", accounts.users.get("anna").scopes)
        published.shelf.put(Item(kind=SCENE, owner="chasebrignac", slug="parkour", title="Parkour"))
        client = runrobot.Runrobot(auth=token, base_url=bridge.url)
        yield World(bridge, token, client, runrobot.RunrobotApiError)


@pytest.fixture(scope="module")
def robot(world: World) -> Any:
    """Anna's cart, published by the client."""
    return world.client.publish_robot(
        bundle=robot_zip(), slug_path="cart", title="Cart", robot_key="lab/cart"
    )


def glb() -> bytes:
    return glb_bytes(*triangle_document())


def test_the_client_publishes_a_robot_a_scene_and_a_policy(world: World, robot: Any) -> None:
    check_answer(SEED, "RobotManifest", robot)
    assert (robot["owner"], robot["entryXmlPath"], robot["status"]) == ("anna", "robot.xml", "active")
    scene = world.client.publish_scene(glb=glb(), title="Room", transform={
        "position": [1, 2, 0], "quaternion": [0, 0, 0, 1], "scale": [1, 1, 1],
    })  # fmt: skip
    check_answer(SEED, "SceneManifest", scene)
    assert scene["slugPath"] == "my-scene" and scene["benchmarkSceneRef"] == PARKOUR
    again = world.client.publish_scene(glb=glb())
    assert again["slugPath"] == "my-scene-2" and again["title"] == "My Scene"
    policy = world.client.publish_policy(
        model=cart_policy(), slug_path="drive", title="Drive", runtime_adapter="onnx_metadata_v1",
        default_robot_ref="anna/cart", default_scene_ref=PARKOUR,
    )  # fmt: skip
    check_answer(SEED, "PolicyManifest", policy)
    assert policy["controlDt"] == 0.02 and policy["run"]["fell"] is False
    rollouts = world.get("/api/rollout", Authorization=f"Bearer {world.token}").json()
    check_answer(SEED, "RolloutListEnvelope", rollouts)
    assert rollouts["rollouts"][0]["id"] == "rollout-default-anna-drive"
    assert rollouts["rollouts"][0]["route"] == f"/anna/drive/anna/cart/{PARKOUR}"
    url = world.client.build_url(owner="anna", slug_path="drive")
    assert url == policy["url"] == f"{world.bridge.url}/anna/drive"


def test_a_deploy_yaml_is_taken_as_json_and_as_yaml(world: World, robot: Any) -> None:
    policy = world.client.publish_policy(
        model=deploy_onnx(), slug_path="deployed", title="D", runtime_adapter="unitree_velocity_g1_v0",
        unitree_velocity_config=cart_deploy(),
    )  # fmt: skip
    check_answer(SEED, "PolicyManifest", policy)
    assert policy["unitreeVelocityConfig"]["step_dt"] and policy["metadataConfig"] is None


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"owner": "eve"}, 403, "anna"),
        ({"runtime_adapter": "other"}, 400, "onnx_metadata_v1"),
        ({"model": cart_policy(joint_stiffness=None, action_scale=None)}, 400, "joint_stiffness"),
        ({"model": cart_policy()[:200]}, 400, ""),
        ({"slug_path": "../x"}, 400, "slugPath"),
        ({"slug_path": ""}, 400, "slugPath"),
        ({"default_robot_ref": "anna/none"}, 400, "defaultRobotRef"),
        ({"default_robot_ref": "cart"}, 400, "owner/slug"),
    ],
)
def test_the_client_is_told_what_is_wrong(
    world: World, robot: Any, fields: dict[str, Any], status: int, says: str
) -> None:
    good = {"model": cart_policy(), "slug_path": "p", "title": "P", "runtime_adapter": "onnx_metadata_v1"}
    with pytest.raises(world.error) as caught:
        world.client.publish_policy(**{**good, **fields})
    error: Any = caught.value
    assert error.status_code == status and says in str(error), str(error)
    check_answer(SEED, "Error", error.payload)


def test_a_bad_token_is_401(world: World) -> None:
    client = load_runrobot().Runrobot(auth="rr_live_no", base_url=world.bridge.url)
    with pytest.raises(Exception, match=r"(?i)token|log in") as caught:
        client.publish_scene(glb=glb())
    assert caught.value.status_code == 401  # type: ignore[attr-defined]
    # Without any, also on loopback: the seed demands one.
    assert httpx.post(f"{world.bridge.url}/api/publish/scenes").status_code == 401


def test_what_no_client_sends_is_400_in_one_sentence(world: World) -> None:
    for what, fields, files in (
        ("scenes", {}, {}),
        ("scenes", {"title": "T"}, {"glb": ("a.glb", b"")}),
        ("scenes", {"transform": "{"}, {"glb": ("a.glb", glb())}),
        ("scenes", {"transform": '{"position": [1]}'}, {"glb": ("a.glb", glb())}),
        ("scenes", {"benchmarkSceneRef": "no/such"}, {"glb": ("a.glb", glb())}),
        ("scenes", {}, {"glb": ("a.glb", glb()), "preview": ("a.png", b"no picture")}),
        ("robots", {"slugPath": "r", "title": "R"}, {"bundle": ("r.zip", robot_zip())}),
        ("policies", {"slugPath": "p"}, {"model": ("p.onnx", cart_policy())}),
    ):
        answer = world.post(what, fields, **files)
        assert answer.status_code == 400, (what, fields, answer.text)
        check_answer(SEED, "Error", answer.json())


def test_files_come_back_whole_in_ranges_and_only_when_published(world: World, robot: Any) -> None:
    whole = world.get(robot["baseSceneUrl"])
    assert whole.content == robot_zip() and "immutable" in whole.headers["cache-control"]
    part = world.get(robot["baseSceneUrl"], Range="bytes=2-5")
    assert part.status_code == 206 and part.content == robot_zip()[2:6]
    assert world.get(robot["baseSceneUrl"], Range="bytes=99999999-").status_code == 416
    assert world.get(f"/api/catalog/files/{'0' * 64}/x").status_code == 404


def test_items_are_found_versioned_and_deleted(world: World, robot: Any) -> None:
    for title in ("One", "Two"):
        world.client.publish_robot(bundle=robot_zip(), slug_path="twice", title=title, robot_key="k")
    found = world.get("/api/catalog/robots?q=two").json()["items"]
    assert [(item["ref"], item["version"]) for item in found] == [("anna/twice", 2)]
    assert len(world.get("/api/catalog/robots/anna/twice/versions").json()["items"]) == 2
    assert world.get("/api/catalog/robots/anna/twice?version=1").json()["manifest"]["title"] == "One"
    url = f"{world.bridge.url}/api/catalog/robots/anna/twice"
    assert httpx.delete(url).status_code == 401
    assert httpx.delete(url, headers={"Authorization": f"Bearer {world.token}"}).status_code == 200
    assert world.get("/api/catalog/robots/anna/twice").status_code == 404


def test_an_upload_leaves_nothing_behind_but_what_it_published(world: World, temporary: Path) -> None:
    data = world.bridge.services.settings.data_dir
    bomb = struct.pack("<4s", b"PK\x03\x04") + b"\0" * 100_000
    answer = world.post("robots", {"slugPath": "b", "title": "B", "robotKey": "k"}, bundle=("b.zip", bomb))
    assert answer.status_code == 400
    assert not list((data / "uploads").iterdir())
    assert not list(temporary.glob("arena-*"))
    assert httpx.post(f"{world.bridge.url}/api/control/estop").status_code == 200


def test_the_estop_answers_while_a_file_is_checked(world: World) -> None:
    """Good and broken files are opened elsewhere, so nothing here waits for them."""
    files = [robot_zip(), robot_zip()[:-30], b"PK" + bytes(1000)] * 2
    with ThreadPoolExecutor(2) as threads:  # as many as one account may send at once
        fields = {"title": "B", "robotKey": "k"}
        checks = [
            threads.submit(world.post, "robots", {**fields, "slugPath": f"s{number}"}, bundle=("r.zip", data))
            for number, data in enumerate(files)
        ]
        slowest_s, stops = 0.0, 0
        while not all(check.done() for check in checks):
            begin = time.monotonic()
            assert httpx.post(f"{world.bridge.url}/api/control/estop").status_code == 200
            slowest_s, stops = max(slowest_s, time.monotonic() - begin), stops + 1
    assert [check.result().status_code for check in checks] == [201, 400, 400] * 2
    # Without a child process it would wait for all of them.
    assert stops >= 3 and slowest_s < 5.0, (stops, slowest_s)
