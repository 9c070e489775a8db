# SPDX-License-Identifier: Apache-2.0
"""No joint moves faster than its limit; what counts is the distance to the previous command, not a declared speed."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import scale_step, velocity_factor


@dataclass(frozen=True, slots=True)
class VelocityParams:
    """Slower than the robot's own limits; they hold in any case."""

    max_velocity: tuple[float, ...] = bound(
        (),
        "Largest velocity per joint, in the arm's unit per s.",
        tighter=LOWER,
        lowest=1e-3,
        is_per_joint=True,
    )


class Velocity(Check):
    """CLAMP by shortening the whole step by one factor, so that the arm stays on the policy's path."""

    name: ClassVar[str] = "velocity"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = VelocityParams

    params: VelocityParams

    def examine(self, given: CheckInput) -> Finding:
        wanted, most = given.action, given.limits.max_velocity
        if self.params.max_velocity:
            most = tuple(map(min, most, self.params.max_velocity))
        factor = velocity_factor(given.previous_command, wanted, max_velocity=most, dt_s=given.dt_s)
        if factor == 1.0:
            return PASSED
        return Finding(
            Decision.CLAMP,
            f"Too fast: the step was shortened to {factor:.0%}.",
            scale_step(given.previous_command, wanted, factor),
        )
