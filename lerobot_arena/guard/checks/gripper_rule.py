# SPDX-License-Identifier: Apache-2.0
"""What the gripper may do, everywhere or in a zone: not open over the bin's edge, not move while it carries."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.workspace_box import check_box, outside

_CLOSE, _OPEN, _NONE = "close", "open", "none"


@dataclass(frozen=True, slots=True)
class GripperRuleParams:
    """Without a zone the rule holds everywhere."""

    allowed_command: str = bound(_NONE, "The only motion it may make.", choices=(_CLOSE, _OPEN, _NONE))
    zone_lower_m: tuple[float, ...] = bound((), "Lowest corner of the end effector's zone.", length=3)
    zone_upper_m: tuple[float, ...] = bound((), "Highest corner of the end effector's zone.", length=3)

    def __post_init__(self) -> None:
        if self.zone_lower_m or self.zone_upper_m:
            check_box(self.zone_lower_m, self.zone_upper_m, "zone_lower_m", "zone_upper_m")


class GripperRule(Check):
    """CLAMP by leaving the gripper where it is when it would do anything else; the arm goes on."""

    name: ClassVar[str] = "gripper_rule"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = GripperRuleParams

    params: GripperRuleParams

    def __init__(self, params: GripperRuleParams, body: Body) -> None:
        super().__init__(params, body)
        self._opening = body.gripper_opening
        if not any(self._opening):
            raise InvalidInput(f"This arm has no gripper among {', '.join(body.joint_names)}.")
        if params.zone_lower_m and body.geometry is None:
            raise InvalidInput(f"Its zone needs the arm's geometry, but {body.no_geometry_because}.")

    def examine(self, given: CheckInput) -> Finding:
        before, wanted = given.previous_command, given.action
        kept = tuple(
            end if not opening or self._may_move((end - start) * opening) else start
            for start, end, opening in zip(before, wanted, self._opening)
        )
        if kept == wanted or not self._is_in_zone(given):
            return PASSED
        allowed = (
            "not move" if self.params.allowed_command == _NONE else f"only {self.params.allowed_command}"
        )
        return Finding(Decision.CLAMP, f"The gripper may {allowed} here: it stays as it is.", kept)

    def _may_move(self, opening: float) -> bool:
        if opening == 0.0:
            return True
        return self.params.allowed_command == (_OPEN if opening > 0.0 else _CLOSE)

    def _is_in_zone(self, given: CheckInput) -> bool:
        if not self.params.zone_lower_m:
            return True
        place = self.geometry.pose(given.action).position_m
        return not outside(place, self.params.zone_lower_m, self.params.zone_upper_m)
