# SPDX-License-Identifier: Apache-2.0
"""Speed grows no faster than the joints' acceleration; slowing down is never limited."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import approach_velocity


class Acceleration(Check):
    """CLAMP by moving from the previous velocity towards the wanted one by one common factor."""

    name: ClassVar[str] = "acceleration"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT

    def examine(self, given: CheckInput) -> Finding:
        wanted = given.action
        allowed = approach_velocity(
            given.previous_command,
            wanted,
            previous_velocity=given.previous_velocity,
            max_acceleration=given.limits.max_acceleration,
            dt_s=given.dt_s,
        )
        if allowed is wanted:
            return PASSED
        return Finding(Decision.CLAMP, "Speeding up too hard: the step was softened.", allowed)
