# SPDX-License-Identifier: Apache-2.0
"""The end effector moves no faster than a person near it can stand."""

from dataclasses import dataclass
from math import dist
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.share_of_step import NOTHING, Violations, longest_share, shortened
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class EndEffectorSpeedParams:
    """How fast."""

    max_speed_m_s: float = bound(
        1.0, "Speed from command to command.", tighter=LOWER, lowest=0.001, highest=20.0
    )


class EndEffectorSpeed(Check):
    """CLAMP by shortening the whole step, all joints alike."""

    name: ClassVar[str] = "end_effector_speed"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = EndEffectorSpeedParams
    needs_geometry: ClassVar[bool] = True

    params: EndEffectorSpeedParams

    def examine(self, given: CheckInput) -> Finding:
        start, end = given.previous_command, given.action
        here = self.geometry.pose(start).position_m
        most_m = self.params.max_speed_m_s * given.dt_s

        def too_far(joints_rad: Vector) -> Violations:
            excess = dist(here, self.geometry.pose(joints_rad).position_m) - most_m
            return {"speed": excess} if excess > 0.0 else NOTHING

        share, _ = longest_share(start, end, too_far)
        if share == 1.0:
            return PASSED
        return Finding(
            Decision.CLAMP,
            f"The end effector would move faster than {self.params.max_speed_m_s:g} m/s: "
            f"the step was shortened to {share:.0%}.",
            shortened(start, end, share, too_far, (True,) * len(start)),
        )
