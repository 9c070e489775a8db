# SPDX-License-Identifier: Apache-2.0
"""A loop that cannot keep its own time does not move an arm."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import param
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class PacingParams:
    """How many late cycles in a row are too many."""

    late_limit: int = param(3, "Late cycles in a row that make a fault.", lowest=1)


class Pacing(Check):
    """FAULT in the cycle that is the `late_limit`-th late one in a row, and in each further one."""

    name: ClassVar[str] = "pacing"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = PacingParams

    def examine(self, given: CheckInput) -> Finding:
        if given.late_in_row < self.params.late_limit:
            return PASSED
        return Finding(
            Decision.FAULT,
            f"The control loop was late {given.late_in_row} times in a row: the machine is overloaded.",
        )
