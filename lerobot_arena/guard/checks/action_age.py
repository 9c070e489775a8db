# SPDX-License-Identifier: Apache-2.0
"""An action made from an old observation is not executed."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import param
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class ActionAgeParams:
    """When an action is stale."""

    timeout_s: float = param(1.0, "Age of the observation it was made from.", lowest=0.0)


class ActionAge(Check):
    """REJECT when the observation behind the action is older than `timeout_s`, or its age is impossible."""

    name: ClassVar[str] = "action_age"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.SHAPE
    params_type: ClassVar[type] = ActionAgeParams

    def examine(self, given: CheckInput) -> Finding:
        if 0.0 <= given.action_age_s <= self.params.timeout_s:
            return PASSED
        return Finding(
            Decision.REJECT,
            f"The action's observation is {given.action_age_s:.2f} s old; {self.params.timeout_s:g} s are allowed. "
            "Use a faster policy, or raise action_timeout_s.",
        )
