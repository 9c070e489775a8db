# SPDX-License-Identifier: Apache-2.0
"""Acceleration builds up over time instead of at once; slowing down is never limited."""

from dataclasses import dataclass
from math import copysign
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import Vector, approach_velocity


@dataclass(frozen=True, slots=True)
class JerkParams:
    """How steeply; of both, the stricter one counts."""

    rise_time_s: float = bound(
        0.02, "Shortest time in which acceleration grows from none to a joint's limit.",
        tighter=HIGHER, lowest=0.001, highest=10.0,
    )  # fmt: skip
    max_jerk: tuple[float, ...] = bound(
        (), "Largest growth of acceleration per joint, in the arm's unit per s³.",
        tighter=LOWER, lowest=1e-3, is_per_joint=True,
    )  # fmt: skip


class Jerk(Check):
    """CLAMP by moving from the previous velocity towards the wanted one by one common factor."""

    name: ClassVar[str] = "jerk"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = JerkParams

    params: JerkParams

    def examine(self, given: CheckInput) -> Finding:
        wanted = given.action
        allowed = approach_velocity(
            given.previous_command,
            wanted,
            previous_velocity=given.previous_velocity,
            max_acceleration=self._allowed_acceleration(given),
            dt_s=given.dt_s,
        )
        if allowed is wanted:
            return PASSED
        return Finding(Decision.CLAMP, "Too jerky: the step was softened.", allowed)

    def _allowed_acceleration(self, given: CheckInput) -> Vector:
        """What each joint may speed up with now: what it does already, that way, and what this step adds."""
        steepest = [limit / self.params.rise_time_s for limit in given.limits.max_acceleration]
        if self.params.max_jerk:
            steepest = list(map(min, steepest, self.params.max_jerk))
        before = given.previous_acceleration or (0.0,) * len(steepest)
        return tuple(
            max(0.0, copysign(1.0, end - start) * acceleration) + jerk * given.dt_s
            for start, end, acceleration, jerk in zip(given.previous_command, given.action, before, steepest)
        )
