# SPDX-License-Identifier: Apache-2.0
"""No NaN, no infinity, and nothing so large that the limiters' arithmetic could overflow."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase

LARGEST = 1e6


class Finite(Check):
    """REJECT the whole action when one of its values is not a number of at most LARGEST."""

    name: ClassVar[str] = "finite"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.SHAPE

    def examine(self, given: CheckInput) -> Finding:
        # Written so that NaN, which compares false with everything, is bad.
        bad = [i for i, value in enumerate(given.action) if not -LARGEST <= value <= LARGEST]
        if not bad:
            return PASSED
        where = ", ".join(
            f"{given.joint_names[i] if i < len(given.joint_names) else i}={given.action[i]}" for i in bad
        )
        return Finding(Decision.REJECT, f"The action is not finite: {where}.")
