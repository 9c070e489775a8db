# SPDX-License-Identifier: Apache-2.0
"""No motion without a living driver under the arm."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.reaction import EMERGENCY_STOP
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class HeartbeatParams:
    """When the embodiment counts as gone."""

    timeout_s: float = bound(
        3.0,
        "Age by receipt of the embodiment's status, which it repeats twice a second.",
        tighter=LOWER,
        lowest=0.6,
        highest=60.0,
    )


class Heartbeat(Check):
    """FAULT while the embodiment says that it cannot be driven, and when its status stopped coming; the e-stop latches.

    An arm that never had an embodiment, as a virtual one, has no heartbeat to lose.
    """

    name: ClassVar[str] = "heartbeat"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = HeartbeatParams
    reaction: ClassVar[str] = EMERGENCY_STOP  # what a driver or a robot did to itself, only a person clears
    escalates_to_emergency: ClassVar[bool] = True

    def examine(self, given: CheckInput) -> Finding:
        if given.embodiment_problem:
            return Finding(Decision.FAULT, given.embodiment_problem)
        if given.embodiment_age_s <= self.params.timeout_s:
            return PASSED
        return Finding(
            Decision.FAULT,
            f"The embodiment has been silent for {given.embodiment_age_s:.1f} s; {self.params.timeout_s:g} s are "
            "allowed. See whether its process runs.",
        )
