# SPDX-License-Identifier: Apache-2.0
"""The referee of "pick the cube and put it into the tray": judges what the scene says, moves nothing."""

from dataclasses import dataclass
from math import cos, sin

from lerobot_arena.core.session import TaskStatus
from lerobot_arena.embodiment.simulation.layout import CUBE_SIDE_M, TRAY_FLOOR_M, TRAY_INSIDE_M
from lerobot_arena.embodiment.simulation.scene import Objects

TASK_NAME = "pick_place"
TASK_TEXT = "Pick up the red cube and put it into the blue tray."
REACH, GRASP, CARRY, DROPPED, PLACED = "reach", "grasp", "carry", "dropped", "placed"

_REST_HEIGHT_M = TRAY_FLOOR_M + CUBE_SIDE_M / 2
_LIFTED_M = CUBE_SIDE_M / 2 + 0.015


def is_in_tray(objects: Objects) -> bool:
    """Whether the cube lies on the tray's floor, between its walls, and not on them."""
    dx = objects.cube_position[0] - objects.tray.x_m
    dy = objects.cube_position[1] - objects.tray.y_m
    along = cos(objects.tray.yaw_rad) * dx + sin(objects.tray.yaw_rad) * dy
    across = -sin(objects.tray.yaw_rad) * dx + cos(objects.tray.yaw_rad) * dy
    reach = TRAY_INSIDE_M / 2 - 0.008
    height = objects.cube_position[2] - _REST_HEIGHT_M
    return bool(max(abs(along), abs(across)) <= reach and abs(height) <= 0.008)


@dataclass(frozen=True, slots=True)
class TaskRules:
    """How long an episode may take, and what counts as at rest."""

    time_limit_s: float = 20.0
    rest_speed_m_s: float = 0.02
    rest_time_s: float = 0.3


class PickPlaceTask:
    """One referee over many episodes. Times are the scene's seconds."""

    def __init__(self, rules: TaskRules | None = None) -> None:
        self.rules = rules or TaskRules()
        self._episode = 0
        self._seed = 0
        self._successes = 0
        self._failures = 0
        self._begin_next(0)

    def begin(self, seed: int) -> None:
        """A new episode; one that was not over counts neither as success nor as failure."""
        self._episode += 1
        self._begin_next(seed)

    def _begin_next(self, seed: int) -> None:
        self._seed = seed
        self._started_s: float | None = None
        self._resting_since_s: float | None = None
        self._elapsed_s = 0.0
        self._is_success = self._is_over = False
        self._was_lifted = False
        self._stage = REACH

    def update(self, objects: Objects, time_s: float, *, is_driven: bool = True) -> TaskStatus:
        """Judge this moment. The episode's clock starts at the first moment that is driven; after its end only
        the stage goes on changing."""
        if self._started_s is None and is_driven:
            self._started_s = time_s
        self._stage = self._stage_of(objects)
        if not self._is_over and self._started_s is not None:
            self._elapsed_s = time_s - self._started_s
            self._judge(objects, time_s)
        return self.status()

    def _judge(self, objects: Objects, time_s: float) -> None:
        is_resting = self._stage == PLACED and objects.cube_speed_m_s <= self.rules.rest_speed_m_s
        if not is_resting:
            self._resting_since_s = None
        elif self._resting_since_s is None:
            self._resting_since_s = time_s
        elif time_s - self._resting_since_s >= self.rules.rest_time_s:
            self._is_success = self._is_over = True
            self._successes += 1
        if not self._is_over and self._elapsed_s >= self.rules.time_limit_s:
            self._is_over = True
            self._failures += 1

    def _stage_of(self, objects: Objects) -> str:
        is_lifted = objects.cube_position[2] > _LIFTED_M
        self._was_lifted = self._was_lifted or (is_lifted and objects.is_touched)
        if objects.is_touched:
            return CARRY if is_lifted else GRASP
        if is_in_tray(objects):
            return PLACED
        return DROPPED if self._was_lifted else REACH

    def status(self) -> TaskStatus:
        """The last judgement."""
        return TaskStatus(
            task=TASK_NAME,
            episode=self._episode,
            seed=self._seed,
            successes=self._successes,
            failures=self._failures,
            elapsed_s=self._elapsed_s,
            time_limit_s=self.rules.time_limit_s,
            is_success=self._is_success,
            is_over=self._is_over,
            stage=self._stage,
        )
