# SPDX-License-Identifier: Apache-2.0
"""What a guard check answers, and how answers are merged: the most restrictive wins."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Decision(IntEnum):
    """PASS < CLAMP < REJECT < FAULT. Numbers are those of msg/GuardVerdict."""

    PASS = 0
    CLAMP = 1
    REJECT = 2
    FAULT = 3


class Outcome(IntEnum):
    """What became of a cycle. Numbers are those of msg/Cycle."""

    NONE = 0
    SENT = 1
    ADJUSTED = 2
    HELD = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's answer: REJECT blames the action, FAULT blames a sensor, the hardware or the check itself."""

    decision: Decision
    layer: str
    check: str
    reason: str = ""
    latency_ms: float = 0.0

    @property
    def may_move(self) -> bool:
        return self.decision <= Decision.CLAMP


def most_restrictive(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides; of equals the higher layer. No verdict at all is a FAULT."""
    ranked = sorted(verdicts, key=lambda v: (v.decision, v.layer))
    if not ranked:
        return Verdict(Decision.FAULT, "L3", "chain", "The guard chain is empty: nothing was checked.")
    return ranked[-1]
