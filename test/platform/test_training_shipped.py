# SPDX-License-Identifier: Apache-2.0
"""The shipped demo policy: complete, small, what its manifest says, and still able in today's scene."""

import hashlib
import json
from importlib import resources
from pathlib import Path

import pytest

from lerobot_arena.core.robot import load_robot
from lerobot_arena.platform.training.evaluate import Loop, PolicyDriver

FOLDER = Path(str(resources.files("lerobot_arena") / "models" / "demo"))


@pytest.fixture(scope="module")
def manifest() -> dict:
    return json.loads((FOLDER / "manifest.json").read_text())


@pytest.fixture(scope="module")
def loop():
    loop = Loop(load_robot("so101"))
    yield loop
    loop.close()


def test_its_manifest_says_what_it_is(manifest):
    graph = FOLDER / manifest["weights"]
    assert graph.stat().st_size <= 25e6
    assert hashlib.sha256(graph.read_bytes()).hexdigest() == manifest["sha256"]
    assert manifest["training"]["command"].startswith("arena train-demo ")
    assert isinstance(manifest["training"]["seed"], int)


def test_it_takes_the_robots_camera_and_joints_as_they_are(manifest):
    robot = load_robot("so101")
    (front,) = (camera for camera in robot.cameras if camera.name == "front")
    taken = manifest["cameras"]
    assert list(taken) == ["front"]
    assert (taken["front"]["height"], taken["front"]["width"]) == (front.height, front.width)
    assert tuple(manifest["joint_names"]) == robot.joint_names
    assert (manifest["unit"], manifest["fps"]) == ("normalized", front.rate_hz)


def test_its_measured_success_is_the_camera_s_doing(manifest):
    success = manifest["success"]
    assert success["policy"]["episodes"] >= 200
    assert success["policy"]["interval_95"][0] >= 0.95
    assert success["covered"]["rate"] <= 0.1
    assert success["replay"]["rate"] <= 0.2


def test_it_still_does_its_task_and_only_when_it_sees(loop):
    sighted = PolicyDriver(FOLDER, loop.scene.robot)
    assert sum(loop.run(sighted, seed) for seed in range(700, 706)) >= 5
    blind = PolicyDriver(FOLDER, loop.scene.robot, covered=True)
    assert not any(loop.run(blind, seed) for seed in range(700, 702))
