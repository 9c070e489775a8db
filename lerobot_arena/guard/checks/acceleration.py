# SPDX-License-Identifier: Apache-2.0
"""Speed grows no faster than the joints' acceleration; slowing down is never limited."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import approach_velocity


@dataclass(frozen=True, slots=True)
class AccelerationParams:
    """Softer than the robot's own limits; they hold in any case."""

    max_acceleration: tuple[float, ...] = bound(
        (),
        "Largest acceleration per joint, in the arm's unit per s².",
        tighter=LOWER,
        lowest=1e-3,
        is_per_joint=True,
    )


class Acceleration(Check):
    """CLAMP by moving from the previous velocity towards the wanted one by one common factor."""

    name: ClassVar[str] = "acceleration"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = AccelerationParams

    params: AccelerationParams

    def examine(self, given: CheckInput) -> Finding:
        wanted, most = given.action, given.limits.max_acceleration
        if self.params.max_acceleration:
            most = tuple(map(min, most, self.params.max_acceleration))
        allowed = approach_velocity(
            given.previous_command,
            wanted,
            previous_velocity=given.previous_velocity,
            max_acceleration=most,
            dt_s=given.dt_s,
        )
        if allowed is wanted:
            return PASSED
        return Finding(Decision.CLAMP, "Speeding up too hard: the step was softened.", allowed)
