# SPDX-License-Identifier: Apache-2.0
"""The way to the demo policy, in small: what is recorded, how it is drawn from, and the whole command once."""

import json

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.embodiment.simulation.render import Renderer
from lerobot_arena.embodiment.simulation.scene import Scene
from lerobot_arena.inference.area import area_average
from lerobot_arena.platform.training.collect import collect
from lerobot_arena.platform.training.dataset import Frames
from lerobot_arena.platform.training.demonstration import CAMERA, Studio, camera_of
from lerobot_arena.platform.training.evaluate import ExpertDriver, Loop, ReplayDriver, Success, at


def _frames() -> Frames:
    actions = np.arange(14, dtype=np.float32).reshape(7, 2)
    ends = np.array([4, 4, 4, 4, 7, 7, 7])
    return Frames(np.zeros((7, 2, 2, 3), np.uint8), actions, actions, ends, {})


@pytest.mark.parametrize(
    ("index", "expected"), [(0, [0, 1, 2, 3, 3]), (2, [2, 3, 3, 3, 3]), (4, [4, 5, 6, 6, 6]), (6, [6] * 5)]
)
def test_a_chunk_stays_within_its_episode_and_then_stays_put(index, expected):
    np.testing.assert_array_equal(_frames().chunk(index, 5)[:, 0] / 2, expected)


@pytest.mark.parametrize(
    ("step", "expected"), [(-1, 0.0), (0, 0.0), (0.25, 0.5), (1, 2.0), (1.5, 3.0), (9, 4.0)]
)
def test_a_chunk_is_resampled_linearly_and_held_after_its_end(step, expected):
    assert at(np.array([[0.0], [2.0], [4.0]]), step)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    # Wilson (1927); compare scipy.stats.binomtest(...).proportion_ci(method="wilson").
    [(190, 200, 0.9104, 0.9726), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_success_has_its_interval(successes, episodes, low, high):
    assert Success(successes, episodes).interval == pytest.approx((low, high), abs=2e-4)


def test_a_demonstration_is_what_the_policy_will_see(monkeypatch):
    """Same world, same moment: the recorded picture is the pooled frame, the state the measured joints."""
    robot = load_robot("so101")
    studio = Studio(robot)
    try:
        demonstration = next(d for seed in range(20) if (d := studio.record(seed)) is not None)
    finally:
        studio.close()
    assert demonstration.images.shape == (len(demonstration.states), 96, 128, 3)
    assert demonstration.actions.shape == demonstration.states.shape == (len(demonstration.states), 6)
    radians = robot.to_radians(demonstration.states[0].astype(float), NORMALIZED)
    scene = Scene(robot, seed=demonstration.seed)
    scene.set_arm(radians)
    with Renderer(scene.model, [camera_of(robot)]) as renderer:
        picture = renderer.render(scene.snapshot(), CAMERA)
    difference = demonstration.images[0].astype(int) - area_average(picture, 96, 128)
    assert np.abs(difference).max() <= 2, "float32 states move an edge by far less than a pixel"
    home = demonstration.actions[-1]
    np.testing.assert_array_equal(demonstration.actions[-10], home)


def test_the_loop_tells_who_sees_from_who_does_not():
    robot = load_robot("so101")
    loop = Loop(robot)
    try:
        expert = ExpertDriver(robot, loop.scene)
        assert loop.run(expert, 0)
        loop.scene.reset(0)
        recording = expert.chunk(loop.scene, lambda: np.zeros((480, 640, 3), np.uint8))
        assert loop.run(ReplayDriver(recording), 0), "the same places again"
        assert not any(loop.run(ReplayDriver(recording), seed) for seed in (1, 2, 3))
    finally:
        loop.close()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_demonstrations_whoever_works():
    alone = list(collect("so101", 2, seed=5, workers=1))
    shared = list(collect("so101", 2, seed=5, workers=2))
    for one, other in zip(alone, shared, strict=True):
        assert one.seed == other.seed
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.actions, other.actions)


@pytest.mark.slow
@pytest.mark.lerobot
@pytest.mark.timeout(300)
def test_the_whole_command_in_small(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lerobot_arena.platform.training.demo import train_demo

    heard = []
    result = train_demo(
        tmp_path / "run", episodes=1, minutes=1.0, seed=0, workers=1, steps=2, test_episodes=1,
        report=lambda text, share: heard.append(share),
    )  # fmt: skip
    assert result.success["expert"].successes == 1
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert manifest["precision"] == "int8"
    assert manifest["success"]["policy"]["episodes"] == 1
    assert manifest["training"]["seed"] == 0
    assert manifest["cameras"]["front"]["height"] == 480
    assert (result.folder / "model.onnx").stat().st_size < 25e6
    assert heard == sorted(heard) and heard[-1] == 1.0
    assert result.detector.startswith("ood: none"), "one episode vouches for nothing"
    with pytest.raises(InvalidInput, match="not empty"):
        train_demo(tmp_path / "run", episodes=1, minutes=1.0, seed=0, workers=1)
