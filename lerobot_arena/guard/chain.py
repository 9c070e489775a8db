# SPDX-License-Identifier: Apache-2.0
"""Runs the checks of the table and merges their answers; the most restrictive wins, and every doubt is a FAULT."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.core.verdict import Decision, Verdict, most_restrictive
from lerobot_arena.guard.checks.protocol import Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.table import CHECKS, CORE_CHECKS
from lerobot_arena.guard.limiter import Vector

_MOST_PASSES = 4
# On a busy machine a quick check may wait for its core; one that waits this many budgets hangs.
_LONGEST_WAIT = 5.0


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What may be executed, or None, and every check's verdict; `deciding` is the most restrictive of them."""

    action: Vector | None
    deciding: Verdict
    verdicts: tuple[Verdict, ...]


class Chain:
    """The checks of one run of one arm.

    A check may take `budget_ms` of processor time, and five times that by the clock. Both timers are in nanoseconds.
    """

    def __init__(
        self,
        checks: Iterable[Check],
        *,
        budget_ms: float = 10.0,
        timer: Callable[[], int] = time.perf_counter_ns,
        processor_timer: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        everything = list(checks)
        self._phases = [[check for check in everything if check.phase == phase] for phase in Phase]
        self._budget_ms = budget_ms
        self._timer, self._processor_timer = timer, processor_timer
        self._processor_begin = 0

    def evaluate(self, given: CheckInput) -> ChainResult:
        """Ask phase after phase until one forbids motion; then ask the limiters about their own output again.

        Without a proposed action only the SENSE phase is asked.
        """
        self._processor_begin = self._processor_timer()
        verdicts: list[Verdict] = []
        current = given
        for checks in self._phases:
            current = self._pass(checks, current, verdicts)
            if current.proposed is None or any(verdict.decision > Decision.CLAMP for verdict in verdicts):
                return ChainResult(None, most_restrictive(verdicts), tuple(verdicts))
        if current is not given:
            current = self._settle(current, verdicts)
        deciding = most_restrictive(verdicts)
        return ChainResult(current.proposed if deciding.may_move else None, deciding, tuple(verdicts))

    def _pass(self, checks: Iterable[Check], given: CheckInput, verdicts: list[Verdict]) -> CheckInput:
        for check in checks:
            verdict, changed = self._ask(check, given)
            verdicts.append(verdict)
            if changed is not None:
                given = given.with_action(changed)
        return given

    def _settle(self, given: CheckInput, verdicts: list[Verdict]) -> CheckInput:
        """Repeat the limiters until they leave their own output alone: guard(guard(a)) = guard(a)."""
        for _ in range(_MOST_PASSES):
            again: list[Verdict] = []
            settled = self._pass(self._phases[Phase.LIMIT], given, again)
            verdicts += [verdict for verdict in again if not verdict.may_move]
            if settled.proposed == given.proposed:
                return settled
            given = settled
        verdicts.append(_fault("chain", "The limits contradict each other: no action satisfies all of them."))
        return given

    def _ask(self, check: Check, given: CheckInput) -> tuple[Verdict, Vector | None]:
        begin = self._timer()
        try:
            finding = check.examine(given)
        except Exception as error:
            return _fault(check.name, f"The check failed: {type(error).__name__}: {error}", check.layer), None
        took_ms = (self._timer() - begin) / 1e6
        if took_ms > self._budget_ms and (reason := self._overrun(took_ms)):
            return _fault(check.name, reason, check.layer, took_ms), None
        if problem := _problem(check, finding, given):
            return _fault(check.name, problem, check.layer, took_ms), None
        return Verdict(finding.decision, check.layer, check.name, finding.reason, took_ms), finding.action

    def _overrun(self, took_ms: float) -> str:
        """Why the time a check took is its fault; empty when it only waited for a core."""
        # The processor time of all checks so far: this one's cannot be more.
        busy_ms = (self._processor_timer() - self._processor_begin) / 1e6
        if busy_ms > self._budget_ms:
            return f"The check took {took_ms:.1f} ms; {self._budget_ms:g} ms are allowed."
        if took_ms > _LONGEST_WAIT * self._budget_ms:
            return f"The check hung for {took_ms:.1f} ms."
        return ""


def _fault(check: str, reason: str, layer: str = "L3", latency_ms: float = 0.0) -> Verdict:
    return Verdict(Decision.FAULT, layer, check, reason, latency_ms)


def _problem(check: Check, finding: Finding, given: CheckInput) -> str:
    """Why an answer cannot be used; empty when it can."""
    if not isinstance(finding, Finding):
        return f"The check answered with a {type(finding).__name__}."
    action = finding.action
    if action is None:
        return ""
    if check.phase != Phase.LIMIT or finding.decision != Decision.CLAMP:
        return "The check changed the action, which only a CLAMP of the LIMIT phase may do."
    if len(action) != len(given.joint_names) or not all(map(isfinite, action)):
        return "The check changed the action into something that is no action."
    return ""


def build_chain(
    settings: Mapping[str, Mapping[str, Any]],
    *,
    budget_ms: float = 10.0,
    timer: Callable[[], int] = time.perf_counter_ns,
) -> Chain:
    """The core checks, and further ones named in `settings`, each with its parameters.

    Raises InvalidInput for an unknown check or parameter, with the nearest name.
    """
    names = [*CORE_CHECKS, *(name for name in settings if name not in CORE_CHECKS)]
    checks = []
    for name in names:
        check_type = CHECKS.load(name)
        try:
            params = params_from_mapping(check_type.params_type, settings.get(name, {}))
        except InvalidInput as error:
            raise InvalidInput(f"Guard check {name}: {error}") from error
        checks.append(check_type(params))
    return Chain(checks, budget_ms=budget_ms, timer=timer)
