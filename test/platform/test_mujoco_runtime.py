# SPDX-License-Identifier: Apache-2.0
"""`instance.mujoco.onnx` for real: a confined process with a cart, its policy, and requests good and bad."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.catalog.checks import Checks
from lerobot_arena.platform.catalog.item import PHYSICS, POLICY, SCENE, FileRef, Item
from lerobot_arena.platform.catalog.publishing import Publisher, Upload
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.deployments.deployment import MUJOCO, Deployment, Scale
from lerobot_arena.platform.deployments.mujoco_runtime import MujocoInstance, MujocoRuntime
from lerobot_arena.platform.storage.blobs import Blobs
from lerobot_arena.platform.storage.database import open_engine
from lerobot_arena.testing.catalog_files import cart_policy, robot_zip


@pytest.fixture
def runtime(tmp_path: Path) -> MujocoRuntime:
    shelf, blobs = Shelf(open_engine(f"sqlite:///{tmp_path / 'a.db'}")), Blobs(str(tmp_path / "blobs"))
    publisher = Publisher(shelf, blobs, Checks(), clock=SystemClock())
    bundle, model = tmp_path / "robot.zip", tmp_path / "policy.onnx"
    bundle.write_bytes(robot_zip())
    model.write_bytes(cart_policy())
    publisher.robot("lab", {"slugPath": "cart", "title": "C", "robotKey": "k"}, Upload("robot.zip", bundle))
    fields = {"slugPath": "drive", "title": "D", "runtimeAdapter": "onnx_metadata_v1"}
    publisher.policy("lab", {**fields, "defaultRobotRef": "lab/cart"}, Upload("policy.onnx", model))
    publisher.policy("lab", {**fields, "slugPath": "loose"}, Upload("policy.onnx", model))
    return MujocoRuntime(shelf, blobs)


def deployed(policy: str = "lab/drive") -> Deployment:
    return Deployment("d", "lab", "T", "t", policy, MUJOCO, Scale(), 0.0)


@pytest.fixture
async def instance(runtime: MujocoRuntime) -> AsyncIterator[MujocoInstance]:
    made = await runtime.start(deployed())
    yield made
    await made.stop()


async def test_it_drives_as_it_is_told_and_resets(instance: MujocoInstance) -> None:
    there = (await instance.ask({"command": {"lin_vel_x": 0.5}, "seconds": 2.0}))["state"]
    assert there["time_s"] == pytest.approx(2.0) and there["distance_m"] > 0.05 and not there["fell"]
    back = (await instance.ask({"reset": True}))["state"]
    assert back["time_s"] == 0.0 and back["distance_m"] == 0.0


@pytest.mark.parametrize(
    "request_", [{"jump": 1}, {"seconds": -1}, {"seconds": "1"}, {"command": {"z": 1}}, {"command": 3}]
)
async def test_a_bad_request_says_why_and_costs_nothing(instance: MujocoInstance, request_: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidInput):
        await instance.ask(request_)
    assert (await instance.ask({}))["state"]["time_s"] == 0.0


async def test_a_killed_instance_is_lost_in_words_and_leaves_nothing(instance: MujocoInstance) -> None:
    os.killpg(instance._child._process.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="ended"):
        await instance.ask({"seconds": 0.1})
    assert not instance.is_alive
    await instance.stop()
    assert not instance._child._folder.exists()


async def test_the_scene_stands_around_the_robot(runtime: MujocoRuntime, tmp_path: Path) -> None:
    """A wall half a metre ahead, as the run page would have it as well."""
    wall = tmp_path / "wall.xml"
    wall.write_text('<mujoco><worldbody><geom type="box" size=".05 2 1" pos=".5 0 0"/></worldbody></mujoco>')
    blob = runtime._blobs.write([wall.read_bytes()], max_bytes=10_000)
    files = {PHYSICS: FileRef("wall.xml", blob.sha256, blob.size)}
    runtime._shelf.put(Item(kind=SCENE, owner="lab", slug="wall", title="W", files=files))
    drive = runtime._shelf.get(POLICY, "lab/drive")
    facts = {**drive.facts, "defaultSceneRef": "lab/wall"}
    runtime._shelf.put(replace(drive, slug="walled", facts=facts))
    distances = []
    for policy in ("lab/drive", "lab/walled"):
        instance = await runtime.start(deployed(policy))
        answer = await instance.ask({"command": {"lin_vel_x": 2.0}, "seconds": 8.0})
        distances.append(answer["state"]["distance_m"])
        await instance.stop()
    assert distances[0] > 0.6 > distances[1], distances


async def test_a_policy_without_a_robot_says_so(runtime: MujocoRuntime) -> None:
    with pytest.raises(Unavailable, match="no default robot"):
        await runtime.start(deployed("lab/loose"))
