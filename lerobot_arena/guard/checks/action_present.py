# SPDX-License-Identifier: Apache-2.0
"""A cycle without an action holds, and says why."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


class ActionPresent(Check):
    """REJECT when the queue had nothing, except while a fresh start waits for its first chunk."""

    name: ClassVar[str] = "action_present"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.SENSE

    def examine(self, given: CheckInput) -> Finding:
        if given.proposed is not None or given.is_waiting:
            return PASSED
        return Finding(Decision.REJECT, given.absence or "There is no action to execute.")
