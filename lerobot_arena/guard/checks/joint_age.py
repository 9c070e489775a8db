# SPDX-License-Identifier: Apache-2.0
"""No motion without a fresh joint state."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import param
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class JointAgeParams:
    """When a joint state is stale."""

    timeout_s: float = param(0.3, "Age by receipt on the steady clock.", lowest=0.0)


class JointAge(Check):
    """FAULT before the first joint message, and when the latest is older than `timeout_s`."""

    name: ClassVar[str] = "joint_age"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = JointAgeParams
    escalates_to_emergency: ClassVar[bool] = True

    def examine(self, given: CheckInput) -> Finding:
        if 0.0 <= given.joint_age_s <= self.params.timeout_s and len(given.measured) == len(
            given.joint_names
        ):
            return PASSED
        because = f" The latest was refused: {given.joint_refusal}" if given.joint_refusal else ""
        if given.joint_age_s < 0.0 or not given.measured:
            return Finding(Decision.FAULT, f"No joint state has come yet.{because}")
        return Finding(
            Decision.FAULT,
            f"The joint state is {given.joint_age_s:.2f} s old; {self.params.timeout_s:g} s are allowed.{because}",
        )
