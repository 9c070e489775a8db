# SPDX-License-Identifier: Apache-2.0
"""A task that takes too long is over."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.reaction import STOP
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class TaskTimeoutParams:
    """How long a run may last."""

    timeout_s: float = bound(
        60.0,
        "Running time on the steady clock; pauses do not count.",
        tighter=LOWER,
        lowest=0.1,
        highest=86_400.0,
    )


class TaskTimeout(Check):
    """REJECT once the run has lasted longer than `timeout_s`; the run stops."""

    name: ClassVar[str] = "task_timeout"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = TaskTimeoutParams
    reaction: ClassVar[str] = STOP

    def examine(self, given: CheckInput) -> Finding:
        if given.run_s <= self.params.timeout_s:
            return PASSED
        return Finding(
            Decision.REJECT,
            f"The task has run for {given.run_s:.1f} s; {self.params.timeout_s:g} s are allowed.",
        )
