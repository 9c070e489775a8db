# SPDX-License-Identifier: Apache-2.0
"""Degrees or percent sent as radians: absurd targets, cycle after cycle."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import param
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class UnitSuspicionParams:
    """How far, and how long."""

    spans: float = param(1.0, "How many times its whole range a target lies outside it.", lowest=0.1)
    in_row: int = param(5, "Such actions in a row before they are rejected.", lowest=1)


class UnitSuspicion(Check):
    """REJECT from the `in_row`-th action on whose target is a whole range or more outside a joint's range.

    The ones before are limited like any other. A gripper pressed a little beyond its stop is not meant.
    """

    name: ClassVar[str] = "unit_suspicion"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.SHAPE
    params_type: ClassVar[type] = UnitSuspicionParams

    params: UnitSuspicionParams

    def __init__(self, params: UnitSuspicionParams, body: Body) -> None:
        super().__init__(params, body)
        self._in_row = 0

    def examine(self, given: CheckInput) -> Finding:
        worst = ""
        for name, value, low, high in zip(
            given.joint_names, given.action, given.limits.lower, given.limits.upper, strict=False
        ):
            margin = self.params.spans * (high - low)
            if value > high + margin or value < low - margin:
                worst = f"{name} to {value:.4g}, whose range is {low:.4g} to {high:.4g}"
        self._in_row = self._in_row + 1 if worst else 0
        if self._in_row < self.params.in_row:
            return PASSED
        return Finding(
            Decision.REJECT,
            f"The policy keeps sending {worst} {given.unit}: does it speak another unit? Set the session's unit.",
        )
