# SPDX-License-Identifier: Apache-2.0
"""The referee's truth table, and the expert: reaches its goal, keeps its rates, misses when it is told a lie."""

from dataclasses import replace

import numpy as np
import pytest

from lerobot_arena.core.robot import load_robot
from lerobot_arena.embodiment.simulation.expert import Expert
from lerobot_arena.embodiment.simulation.layout import Placement
from lerobot_arena.embodiment.simulation.model import build_model
from lerobot_arena.embodiment.simulation.scene import Objects, Scene
from lerobot_arena.embodiment.simulation.task import PickPlaceTask, TaskRules, is_in_tray

TRAY = Placement(0.2, 0.1, 0.5)
ON_TABLE = Objects(np.array([0.2, -0.1, 0.0125]), 0.0, 0.0, TRAY, False)
IN_TRAY = replace(ON_TABLE, cube_position=np.array([0.2, 0.1, 0.0155]))
LIFTED = replace(ON_TABLE, cube_position=np.array([0.2, -0.1, 0.08]), is_touched=True)


def _at(dx: float, dy: float, height: float = 0.0155) -> Objects:
    """The cube at (dx, dy) of the tray's own axes."""
    c, s = np.cos(TRAY.yaw_rad), np.sin(TRAY.yaw_rad)
    x, y = TRAY.x_m + c * dx - s * dy, TRAY.y_m + s * dx + c * dy
    return replace(ON_TABLE, cube_position=np.array([x, y, height]))


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (_at(0, 0), True),
        (_at(0.034, 0.034), True),
        (_at(0.036, 0), False),
        (_at(0, -0.036), False),
        (_at(0, 0, height=0.03), False),  # on the wall, or held above
        (_at(0, 0, height=0.0), False),
        (ON_TABLE, False),
    ],
)
def test_in_the_tray_means_on_its_floor_between_its_walls(objects, expected):
    assert is_in_tray(objects) is expected


@pytest.mark.parametrize(
    ("objects", "stage"),
    [
        (ON_TABLE, "reach"),
        (replace(ON_TABLE, is_touched=True), "grasp"),
        (LIFTED, "carry"),
        (replace(LIFTED, is_touched=False), "reach"),
        (IN_TRAY, "placed"),
        (replace(IN_TRAY, is_touched=True), "grasp"),
    ],
)
def test_stages(objects, stage):
    assert PickPlaceTask().update(objects, 0.0).stage == stage


def test_a_cube_that_was_carried_and_lies_outside_is_dropped():
    task = PickPlaceTask()
    task.update(LIFTED, 0.0)
    assert task.update(ON_TABLE, 1.0).stage == "dropped"


@pytest.mark.parametrize(
    ("objects", "is_success"),
    [
        (IN_TRAY, True),
        (replace(IN_TRAY, is_touched=True), False),  # not released
        (replace(IN_TRAY, cube_speed_m_s=0.1), False),  # not at rest
        (LIFTED, False),
        (ON_TABLE, False),
    ],
)
def test_success_is_a_cube_released_and_at_rest_in_the_tray(objects, is_success):
    task = PickPlaceTask()
    for step in range(10):
        status = task.update(objects, step * 0.1)
    assert status.is_success is is_success
    assert status.is_over is is_success
    assert status.successes == is_success


def test_rest_must_last_without_a_break():
    task = PickPlaceTask(TaskRules(rest_time_s=0.3))
    for time_s, objects in [(0.0, IN_TRAY), (0.2, IN_TRAY), (0.25, LIFTED), (0.3, IN_TRAY), (0.5, IN_TRAY)]:
        assert not task.update(objects, time_s).is_success
    assert task.update(IN_TRAY, 0.61).is_success


def test_the_clock_starts_with_the_first_command_and_its_end_is_one_failure():
    task = PickPlaceTask(TaskRules(time_limit_s=5.0))
    assert task.update(ON_TABLE, 100.0, is_driven=False).elapsed_s == 0.0
    task.update(ON_TABLE, 101.0)
    assert not task.update(ON_TABLE, 105.9, is_driven=False).is_over
    status = task.update(ON_TABLE, 106.0)
    assert (status.is_over, status.is_success, status.failures) == (True, False, 1)
    late = task.update(IN_TRAY, 107.0)
    late = task.update(IN_TRAY, 108.0)
    assert (late.is_success, late.failures, late.successes, late.elapsed_s) == (False, 1, 0, 5.0)


def test_episodes_are_counted_and_start_afresh():
    task = PickPlaceTask(TaskRules(rest_time_s=0.0))
    for seed in (4, 5):
        task.begin(seed)
        task.update(IN_TRAY, seed)
        status = task.update(IN_TRAY, seed)
        assert (status.is_success, status.seed) == (True, seed)
    assert (status.episode, status.successes) == (2, 2)
    task.begin(6)
    assert (task.status().is_over, task.status().successes) == (False, 2)


@pytest.fixture(scope="module")
def scene() -> Scene:
    robot = load_robot("so101")
    return Scene(robot, model=build_model(robot))


def _run(scene: Scene, seed: int, *, told: float = 0.0) -> tuple[bool, np.ndarray]:
    """Let the expert act; `told` shifts the cube it is told of by as many metres."""
    scene.reset(seed)
    start = scene.targets()
    objects = scene.objects()
    shown = replace(objects, cube_position=objects.cube_position + np.array([0.0, told, 0.0]))
    plan = Expert(scene.robot, scene.model).plan(shown, start)
    task = PickPlaceTask()
    for targets in plan.targets_rad:
        scene.step(targets, plan.dt_s)
        status = task.update(scene.objects(), scene.time_s)
    return status.is_success, np.vstack([start, plan.targets_rad])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_expert_succeeds_within_its_rates_and_ends_at_home(scene, seed):
    is_success, targets = _run(scene, seed)
    assert is_success
    velocity = np.diff(targets, axis=0) * 30
    limits = scene.robot.limits()
    assert np.abs(velocity[:, :5]).max() < 2.5
    assert (np.abs(velocity) < limits.max_velocity).all()
    assert np.abs(np.diff(velocity, axis=0) * 30).max() < 20
    assert (targets >= limits.lower).all() and (targets <= limits.upper).all()
    assert len(targets) / 30 < 8
    np.testing.assert_allclose(targets[-1], targets[-10])


def test_the_expert_fails_when_it_is_told_of_another_place(scene):
    assert not _run(scene, 0, told=0.05)[0]
