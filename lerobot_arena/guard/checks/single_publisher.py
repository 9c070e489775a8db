# SPDX-License-Identifier: Apache-2.0
"""Nobody else may command this arm."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


class SinglePublisher(Check):
    """FAULT while another living publisher is on the topic this guard commands."""

    name: ClassVar[str] = "single_publisher"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE

    def examine(self, given: CheckInput) -> Finding:
        if not given.foreign_publishers:
            return PASSED
        return Finding(
            Decision.FAULT,
            f"Somebody else commands this arm: {', '.join(given.foreign_publishers)}. Stop it.",
        )
