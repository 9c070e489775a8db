# SPDX-License-Identifier: Apache-2.0
"""Each joint stays inside its range, and comes to its end no faster than it can stop there."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import Vector, stay_inside


@dataclass(frozen=True, slots=True)
class PositionLimitsParams:
    """Narrower than the robot's own limits; they hold in any case."""

    lower: tuple[float, ...] = bound(
        (), "Lowest position per joint, in the arm's unit.", tighter=HIGHER, is_per_joint=True
    )
    upper: tuple[float, ...] = bound(
        (), "Highest position per joint, in the arm's unit.", tighter=LOWER, is_per_joint=True
    )

    def __post_init__(self) -> None:
        if any(low >= high for low, high in zip(self.lower, self.upper)):
            raise InvalidInput(
                f"lower {list(self.lower)} is not below upper {list(self.upper)} at every joint."
            )


class PositionLimits(Check):
    """CLAMP only the joints that would leave their range; a joint outside it may move inward, never further out."""

    name: ClassVar[str] = "position_limits"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = PositionLimitsParams

    params: PositionLimitsParams

    def __init__(self, params: PositionLimitsParams, body: Body) -> None:
        super().__init__(params, body)
        lower, upper = self._range(body.limits.lower, body.limits.upper)
        for name, low, high in zip(body.joint_names, lower, upper):
            if low >= high:
                raise InvalidInput(
                    f"With the robot's own limits, lower and upper leave {name} no range: {low:g} to {high:g}."
                )

    def _range(self, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
        """The stricter of these and the parameters."""
        if self.params.lower:
            lower = tuple(map(max, lower, self.params.lower))
        if self.params.upper:
            upper = tuple(map(min, upper, self.params.upper))
        return lower, upper

    def examine(self, given: CheckInput) -> Finding:
        limits, wanted = given.limits, given.action
        lower, upper = self._range(limits.lower, limits.upper)
        allowed = stay_inside(
            given.previous_command,
            wanted,
            lower=lower,
            upper=upper,
            max_velocity=limits.max_velocity,
            max_acceleration=limits.max_acceleration,
            dt_s=given.dt_s,
        )
        if allowed is wanted:
            return PASSED
        joints = [name for name, a, b in zip(given.joint_names, allowed, wanted) if a != b]
        return Finding(Decision.CLAMP, f"At the end of its range: {', '.join(joints)}.", allowed)
