# SPDX-License-Identifier: Apache-2.0
"""Runs the checks of the table and merges their answers; the most restrictive wins, and every doubt is a FAULT."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.core.reaction import ENFORCE, HOLD, LOG_ONLY
from lerobot_arena.core.verdict import Decision, Verdict, most_restrictive
from lerobot_arena.guard.checks.protocol import Body, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.table import CHECKS, CORE_CHECKS, MANDATORY_CHECKS
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.seat import Seat, Trigger, core_seat

_MOST_PASSES = 6
# On a busy machine a quick check may wait for its core; one that waits this many budgets hangs.
_LONGEST_WAIT = 5.0
_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What may be executed, or None, and every check's verdict; `deciding` is the most restrictive of them.

    `triggers` are the objections that ask for a reaction; not those of seats that do not count now.
    """

    action: Vector | None
    deciding: Verdict
    verdicts: tuple[Verdict, ...]
    triggers: tuple[Trigger, ...] = ()


class _Pass:
    """What one evaluation has gathered."""

    __slots__ = ("is_blocked", "triggers", "verdicts")

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.triggers: list[Trigger] = []
        self.is_blocked = False


class Chain:
    """The seats of one run of one arm.

    A check may take `budget_ms` of processor time, and five times that by the clock. Both timers are in nanoseconds.
    Under another enforcement than `enforce` only mandatory seats can change or stop an action: `monitor` asks the
    others and reports them, `log_only` does not ask them.
    """

    def __init__(
        self,
        seats: Iterable[Seat],
        *,
        budget_ms: float = 10.0,
        enforcement: str = ENFORCE,
        timer: Callable[[], int] = time.perf_counter_ns,
        processor_timer: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self.seats = tuple(seats)
        asked = [seat for seat in self.seats if enforcement != LOG_ONLY or seat.is_mandatory]
        self._phases = [[seat for seat in asked if seat.phase == phase] for phase in Phase]
        self._is_enforcing = enforcement == ENFORCE
        self._budget_ms = budget_ms
        self._timer, self._processor_timer = timer, processor_timer
        self._processor_begin = 0

    def evaluate(self, given: CheckInput, excused: frozenset[str] = _NOBODY) -> ChainResult:
        """Ask phase after phase until one forbids motion; then ask the limiters about their own output again.

        Without a proposed action only the SENSE phase is asked. Seats named in `excused` are asked, but do not block:
        a retreat has to be possible from where they object.
        """
        self._processor_begin = self._processor_timer()
        gathered = _Pass()
        current = given
        for phase in (Phase.SENSE, Phase.SHAPE, Phase.LIMIT):
            current = self._pass(self._phases[phase], current, gathered, excused)
            if current.proposed is None or gathered.is_blocked:
                return _result(None, gathered)
        if current is not given:
            current = self._settle(current, gathered, excused)
        if not gathered.is_blocked:
            self._pass(self._phases[Phase.JUDGE], current, gathered, excused)
        return _result(None if gathered.is_blocked else current.proposed, gathered)

    def _pass(
        self, seats: Iterable[Seat], given: CheckInput, gathered: _Pass, excused: frozenset[str]
    ) -> CheckInput:
        for seat in seats:
            verdict, finding, trigger = self._ask(seat, given)
            gathered.verdicts.append(verdict)
            counts = (self._is_enforcing or seat.is_mandatory) and seat.name not in excused
            if not counts:
                continue
            if trigger is not None:
                gathered.triggers.append(trigger)
            if verdict.decision > Decision.CLAMP:
                gathered.is_blocked = True
            elif finding is not None and finding.action is not None:
                given = given.with_action(finding.action)
        return given

    def _settle(self, given: CheckInput, gathered: _Pass, excused: frozenset[str]) -> CheckInput:
        """Repeat the limiters until they leave their own output alone: guard(guard(a)) = guard(a)."""
        for _ in range(_MOST_PASSES):
            again = _Pass()
            settled = self._pass(self._phases[Phase.LIMIT], given, again, excused)
            gathered.verdicts += [verdict for verdict in again.verdicts if not verdict.may_move]
            gathered.triggers += again.triggers
            gathered.is_blocked = gathered.is_blocked or again.is_blocked
            if settled.proposed == given.proposed:
                return settled
            given = settled
        gathered.verdicts.append(
            _fault("chain", "The limits contradict each other: no action satisfies all of them.")
        )
        gathered.is_blocked = True
        return given

    def _ask(self, seat: Seat, given: CheckInput) -> tuple[Verdict, Finding | None, Trigger | None]:
        begin = self._timer()
        try:
            answer = seat.examine(given)
        except Exception as error:
            return self._defect(seat, f"The check failed: {type(error).__name__}: {error}", 0.0)
        took_ms = (self._timer() - begin) / 1e6
        if took_ms > self._budget_ms and (reason := self._overrun(took_ms)):
            return self._defect(seat, reason, took_ms)
        if problem := _problem(seat, answer, given):
            return self._defect(seat, problem, took_ms)
        finding, trigger = seat.judge(answer)
        return Verdict(finding.decision, seat.layer, seat.name, finding.reason, took_ms), finding, trigger

    @staticmethod
    def _defect(seat: Seat, reason: str, took_ms: float) -> tuple[Verdict, None, Trigger]:
        """The check itself is broken: nothing may move, whatever its seat would do about an objection."""
        trigger = Trigger(seat.name, seat.check.name, Decision.FAULT, HOLD, reason)
        return _fault(seat.name, reason, seat.layer, took_ms), None, trigger

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


def _result(action: Vector | None, gathered: _Pass) -> ChainResult:
    # Nothing was checked: nothing may move.
    action = action if gathered.verdicts else None
    return ChainResult(
        action, most_restrictive(gathered.verdicts), tuple(gathered.verdicts), tuple(gathered.triggers)
    )


def _problem(seat: Seat, finding: Finding, given: CheckInput) -> str:
    """Why an answer cannot be used; empty when it can."""
    if not isinstance(finding, Finding):
        return f"The check answered with a {type(finding).__name__}."
    action = finding.action
    if action is None:
        return ""
    if seat.phase != Phase.LIMIT or finding.decision != Decision.CLAMP:
        return "The check changed the action, which only a CLAMP of the LIMIT phase may do."
    if len(action) != len(given.joint_names) or not all(map(isfinite, action)):
        return "The check changed the action into something that is no action."
    return ""


def core_seats(body: Body, settings: Mapping[str, Mapping[str, Any]]) -> list[Seat]:
    """The checks that are always there, and further ones named in `settings`, each with its parameters.

    Raises InvalidInput for an unknown check or parameter, with the nearest name.
    """
    names = [*CORE_CHECKS, *(name for name in settings if name not in CORE_CHECKS)]
    return [
        core_seat(make_check(name, settings.get(name, {}), body), is_mandatory=name in MANDATORY_CHECKS)
        for name in names
    ]


def make_check(name: str, params: Mapping[str, Any], body: Body) -> Any:
    """A check of the table. Raises InvalidInput naming the check and what is wrong with it."""
    check_type = CHECKS.load(name)
    try:
        return check_type(params_from_mapping(check_type.params_type, params), body)
    except InvalidInput as error:
        raise InvalidInput(f"Guard check {name}: {error}") from error


def build_chain(
    settings: Mapping[str, Mapping[str, Any]],
    body: Body,
    further: Iterable[Seat] = (),
    *,
    budget_ms: float = 10.0,
    enforcement: str = ENFORCE,
) -> Chain:
    """The core checks with their parameters, and the seats of boundaries."""
    return Chain([*core_seats(body, settings), *further], budget_ms=budget_ms, enforcement=enforcement)
