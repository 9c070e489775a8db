# SPDX-License-Identifier: Apache-2.0
"""What people and other processes are told of one arm's guard."""

from dataclasses import dataclass

from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.session import IDLE, RUNNING, GuardState
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.config_book import ConfigBook
from lerobot_arena.guard.inference_watch import RunWatch
from lerobot_arena.guard.knowledge import Knowledge
from lerobot_arena.guard.loop import ControlLoop
from lerobot_arena.guard.standby import Prospect
from lerobot_arena.guard.state_machine import Status
from lerobot_arena.guard.tally import Tally


@dataclass(frozen=True, slots=True)
class Run:
    """What a start began."""

    session_id: str
    policy_unit: str
    loop: ControlLoop
    watch: RunWatch

    @property
    def task(self) -> str:
        return self.loop.parts.checks.task.name


def shown_session(knowledge: Knowledge, status: Status[Run]) -> str:
    """The session that runs, else the one a start would mean; empty when there is none."""
    if status.is_under_way and status.run is not None:
        return status.run.session_id
    session = knowledge.session
    return session.session_id if session is not None else ""


def idle_record(
    knowledge: Knowledge,
    status: Status[Run],
    *,
    cycle_id: int,
    stamp_ns: int,
    steady_ns: int,
    risk: RiskLevel,
    enforcement: str,
    period_s: float,
) -> CycleRecord:
    """A tick in which nothing was due: where the arm is, for those who watch."""
    space = knowledge.space
    return CycleRecord(
        cycle_id=cycle_id,
        decision=Decision.PASS,
        outcome=Outcome.NONE,
        stamp_ns=stamp_ns,
        state=status.state,
        unit=space.unit if space is not None else "",
        joint_names=space.joint_names if space is not None else (),
        risk=risk,
        steady_ns=steady_ns,
        epoch=status.epoch,
        session_id=shown_session(knowledge, status),
        enforcement=enforcement,
        measured=knowledge.measured.values,
        deadline_ms=period_s * 1e3,
    )


def guard_state(
    knowledge: Knowledge,
    status: Status[Run],
    tally: Tally,
    prospect: Prospect,
    book: ConfigBook,
    *,
    enforcement: str,
    cooldown: tuple[str, ...],
    boot_id: str,
    sink: str,
    control_rate_hz: float,
    now_ns: int,
) -> GuardState:
    """GuardState of this instant. How an earlier session's run ended is not told of another session."""
    shown, space, run = shown_session(knowledge, status), knowledge.space, status.run
    is_about_other = run is not None and shown not in {"", run.session_id} and not status.is_latched
    queue = run.loop.queue if run is not None else None
    checks = run.loop.parts.checks if run is not None and status.is_under_way else None
    return GuardState(
        arm=knowledge.arm,
        boot_id=boot_id,
        wanted_generation=knowledge.wanted.generation,
        state=IDLE if is_about_other else status.state,
        session_id=shown,
        task=checks.task.name if checks is not None else prospect.task,
        active_boundaries=checks.boundaries.names if checks is not None else prospect.boundaries,
        enforcement=enforcement,
        reaction=tally.reaction if status.is_under_way else "",
        risk=RiskLevel.EMERGENCY if status.is_latched else tally.risk,
        reset_refusals=(prospect.causes or cooldown) if status.is_latched else (),
        config_version=book.current.version,
        config_refused=book.refused,
        config_problem=book.problem,
        unit=space.unit if space is not None else "",
        epoch=status.epoch,
        estop_latched=status.is_latched,
        message="" if is_about_other else status.message,
        not_ready=prospect.not_ready,
        sink=sink,
        control_rate_hz=1.0 / run.loop.period_s
        if checks is not None and run is not None
        else control_rate_hz,
        cycle_count=tally.cycles,
        late_cycles=tally.late,
        commands_sent=tally.sent,
        decisions=tuple(tally.decisions),
        holds=tally.held,
        chunks_received=queue.accepted + queue.refused if queue is not None else 0,
        chunks_dropped=queue.refused if queue is not None else 0,
        queue_steps=tally.queue_steps if status.state == RUNNING else 0,
        queue_capacity=queue.capacity if queue is not None else 0,
        action_age_s=tally.action_age_s,
        joint_age_s=knowledge.measured.age_s(now_ns),
        stages=tuple(tally.stages.read()),
    )
