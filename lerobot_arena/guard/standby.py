# SPDX-License-Identifier: Apache-2.0
"""What guards an arm while nothing runs: the planned task's checks, and which of their senses object now."""

from dataclasses import dataclass

from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.verdict import Decision, Verdict
from lerobot_arena.guard.checks.protocol import Body, CheckInput
from lerobot_arena.guard.config_book import ConfigBook
from lerobot_arena.guard.knowledge import Knowledge
from lerobot_arena.guard.readiness import reasons_against
from lerobot_arena.guard.run_checks import ChainRules, RunChecks
from lerobot_arena.guard.surroundings import Surroundings

# readiness.py has its own words for these, and an arm that nobody commands may be moved by hand.
_TOLD_ELSEWHERE = frozenset({"joint_age", "heartbeat", "single_publisher", "teleport", "pacing"})


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a start would meet: why it would be refused, and what an e-stop may not be reset for."""

    task: str = ""
    boundaries: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()


class Standby:
    """Called from the ROS thread; keeps the checks until task, config or arm change."""

    def __init__(self, knowledge: Knowledge, book: ConfigBook, rules: ChainRules) -> None:
        self._knowledge, self._book, self._rules = knowledge, book, rules
        self._built_for: object = None
        self._checks: RunChecks | None = None
        self._problem = ""

    def look(self, now_ns: int, *, latched: str, defect: str) -> Prospect:
        """Ask the senses of the task that a start would mean now. `latched` and `defect` are reasons known already."""
        known = self._knowledge
        name, body = known.wanted.run_of(known.arm).task, known.body
        wanted = (name, self._book.current, body)
        if self._built_for is None or self._built_for != wanted:
            self._build(name, body)
            self._built_for = wanted
        bad: list[Verdict] = []
        if self._checks is not None and body is not None:
            given = _given(body, known.around(now_ns), now_ns)
            verdicts = self._checks.chain.evaluate(given).verdicts
            bad = [verdict for verdict in verdicts if verdict.decision > Decision.CLAMP]
        objections = [verdict.reason for verdict in bad if verdict.check not in _TOLD_ELSEWHERE]
        unguarded = " ".join(filter(None, (self._problem or self._foreign_session(), *objections)))
        return Prospect(
            self._checks.task.name if self._checks is not None else name,
            self._checks.boundaries.names if self._checks is not None else (),
            tuple(
                reasons_against(known.situation(now_ns, latched=latched, defect=defect, unguarded=unguarded))
            ),
            tuple(verdict.reason for verdict in bad if self._is_cause(verdict)),
        )

    def _build(self, name: str, body: Body | None) -> None:
        self._checks, self._problem = None, ""
        if body is None:
            return
        try:
            self._checks = self._book.checks(name, body, self._rules)
        except InvalidInput as error:
            self._problem = str(error)

    def _foreign_session(self) -> str:
        """A task that names its session drives no other."""
        session = self._knowledge.session
        task = self._checks.task if self._checks is not None else None
        if task is None or session is None or task.session_id in {"", session.session_id}:
            return ""
        return f"Task {task.name!r} is for session {task.session_id!r}, not {session.session_id!r}."

    def _is_cause(self, verdict: Verdict) -> bool:
        """Whether an e-stop stays latched for it; on a client's arm nothing latches by itself."""
        if self._checks is None or self._knowledge.is_virtual:
            return False
        return any(
            seat.name == verdict.check and seat.check.escalates_to_emergency
            for seat in self._checks.chain.seats
        )


def _given(body: Body, around: Surroundings, now_ns: int) -> CheckInput:
    return CheckInput(
        joint_names=body.joint_names,
        unit=body.unit,
        limits=body.limits,
        dt_s=body.period_s,
        measured=around.measured.values,
        joint_age_s=around.measured.age_s(now_ns),
        previous_command=around.measured.values,
        previous_velocity=(0.0,) * len(around.measured.values),
        proposed=None,
        is_waiting=True,
        joint_refusal=around.measured.refusal,
        foreign_publishers=around.foreign_publishers,
        now_s=now_ns / NS,
        hardware=around.hardware,
        hardware_age_s=around.hardware_age_s,
        host=around.host,
        host_age_s=around.host_age_s,
        embodiment_age_s=around.embodiment_age_s,
        embodiment_problem=around.embodiment_problem,
    )
