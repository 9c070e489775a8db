# SPDX-License-Identifier: Apache-2.0
"""Each joint stays inside its range, and comes to its end no faster than it can stop there."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import stay_inside


class PositionLimits(Check):
    """CLAMP only the joints that would leave their range; a joint outside it may move inward, never further out."""

    name: ClassVar[str] = "position_limits"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT

    def examine(self, given: CheckInput) -> Finding:
        limits, wanted = given.limits, given.action
        allowed = stay_inside(
            given.previous_command,
            wanted,
            lower=limits.lower,
            upper=limits.upper,
            max_velocity=limits.max_velocity,
            max_acceleration=limits.max_acceleration,
            dt_s=given.dt_s,
        )
        if allowed is wanted:
            return PASSED
        joints = [name for name, a, b in zip(given.joint_names, allowed, wanted) if a != b]
        return Finding(Decision.CLAMP, f"At the end of its range: {', '.join(joints)}.", allowed)
