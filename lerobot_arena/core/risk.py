# SPDX-License-Identifier: Apache-2.0
"""How worried to be, from decisions alone: used live by the guard, by the risk log, and on a recording read again."""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from lerobot_arena.core.clock import NS
from lerobot_arena.core.verdict import Decision

_MOST_KEPT = 4096


class RiskLevel(IntEnum):
    """NORMAL < ELEVATED < CRITICAL < EMERGENCY. Numbers are those of msg/Cycle."""

    NORMAL = 0
    ELEVATED = 1
    CRITICAL = 2
    EMERGENCY = 3


@dataclass(frozen=True, slots=True)
class RiskRules:
    """So many CLAMPs within the window are ELEVATED, so many REJECTs are CRITICAL."""

    window_s: float = 10.0
    clamps: int = 5
    rejects: int = 2


RULES = RiskRules()


def risk_level(
    decision: Decision, *, clamps: int, rejects: int, is_latched: bool = False, rules: RiskRules = RULES
) -> RiskLevel:
    """The level of one cycle.

    EMERGENCY: a FAULT, or the e-stop is latched. CRITICAL: a REJECT, or `rejects` of them in the window. ELEVATED: a
    CLAMP, or `clamps` of them in the window; both counts include this cycle. Else NORMAL.
    """
    if is_latched or decision == Decision.FAULT:
        return RiskLevel.EMERGENCY
    if decision == Decision.REJECT or rejects >= rules.rejects:
        return RiskLevel.CRITICAL
    if decision == Decision.CLAMP or clamps >= rules.clamps:
        return RiskLevel.ELEVATED
    return RiskLevel.NORMAL


class RiskWindow:
    """The sliding window over one arm's cycles; its memory is bounded."""

    def __init__(self, rules: RiskRules = RULES) -> None:
        self._rules = rules
        self._clamps: deque[int] = deque(maxlen=_MOST_KEPT)
        self._rejects: deque[int] = deque(maxlen=_MOST_KEPT)

    def add(self, decision: Decision, *, steady_ns: int, is_latched: bool = False) -> RiskLevel:
        """Count a cycle and say its level. `steady_ns` is the guard's own clock, never the wall's."""
        if decision == Decision.CLAMP:
            self._clamps.append(steady_ns)
        elif decision == Decision.REJECT:
            self._rejects.append(steady_ns)
        oldest_ns = steady_ns - round(self._rules.window_s * NS)
        for stamps in (self._clamps, self._rejects):
            while stamps and stamps[0] < oldest_ns:
                stamps.popleft()
        return risk_level(
            decision,
            clamps=len(self._clamps),
            rejects=len(self._rejects),
            is_latched=is_latched,
            rules=self._rules,
        )
