# SPDX-License-Identifier: Apache-2.0
"""The control cycle of one run: joints, queue → checks → reaction → command → record. No ROS, no clock of its own."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lerobot_arena.core.clock import NS, seconds_between
from lerobot_arena.core.cycle import ChunkRequest, ContextEvent, CycleRecord, JointCommand
from lerobot_arena.core.guard_config import UNTIL_STOPPED
from lerobot_arena.core.risk import RiskWindow
from lerobot_arena.core.session import CYCLES_DONE, RUNNING
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Outcome
from lerobot_arena.guard.chain import ChainResult
from lerobot_arena.guard.checks.protocol import CheckInput
from lerobot_arena.guard.chunk_queue import ChunkQueue, Proposal
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.motion import MotionMemory
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.reactions import Answer, Reactions
from lerobot_arena.guard.run_checks import RunChecks
from lerobot_arena.guard.surroundings import Surroundings

WAITING = "Waiting for the first action chunk."
# A stalled loop must not use the lost time for one large step, nor a hurried one run faster than its limits.
_SHORTEST_DT, _LONGEST_DT = 0.5, 2.0
# After so many periods without a command the arm has come to rest.
_STALL = 4.0
_LOWEST_SPEED = 0.1


@dataclass(frozen=True, slots=True)
class CycleLabel:
    """What a cycle and its command are called; `stamp_ns` is wall time and informs only."""

    cycle_id: int
    sequence: int
    stamp_ns: int


@dataclass(frozen=True, slots=True)
class CycleEnd:
    """What a cycle did, and what the arm has to do next."""

    record: CycleRecord
    command: JointCommand | None
    request: ChunkRequest | None
    stop_because: str = ""
    emergency_because: str = ""
    events: tuple[ContextEvent, ...] = ()


@dataclass(slots=True)
class Pace:
    """How a run moves through its time; goes on over pauses. `cycles_left` is negative for ever."""

    period_s: float
    ramp_s: float = 0.0
    run_s: float = 0.0
    cycles_left: int = UNTIL_STOPPED
    since_start_s: float = 0.0

    def passed(self, seconds: float) -> None:
        self.run_s += seconds
        self.since_start_s += seconds

    @property
    def ramp(self) -> float:
        """Share of the speed limits that a run which just began, or went on, may use."""
        if self.since_start_s >= self.ramp_s:
            return 1.0
        return max(_LOWEST_SPEED, self.since_start_s / self.ramp_s)


@dataclass(slots=True)
class RunParts:
    """What a run is made of."""

    space: JointSpace
    checks: RunChecks
    queue: ChunkQueue
    motion: MotionMemory
    reactions: Reactions
    pace: Pace
    path: deque[Vector] = field(default_factory=lambda: deque(maxlen=512))


class ControlLoop:
    """Begins disarmed of history at `start`; lives for one epoch. `commit` sends unless the run has ended."""

    def __init__(
        self,
        *,
        epoch: int,
        session_id: str,
        parts: RunParts,
        risk: RiskWindow,
        commit: Callable[[int, JointCommand, JointSpace], bool],
    ) -> None:
        self.epoch, self.session_id = epoch, session_id
        self.parts = parts
        self._risk, self._commit = risk, commit
        self._last_tick_ns: int | None = None
        self._next_checks: RunChecks | None = None

    @property
    def space(self) -> JointSpace:
        return self.parts.space

    @property
    def queue(self) -> ChunkQueue:
        return self.parts.queue

    @property
    def period_s(self) -> float:
        return self.parts.pace.period_s

    def go_on_with(self, checks: RunChecks) -> None:
        """Use these from the next cycle on; called from another thread."""
        self._next_checks = checks

    @property
    def checks_to_come(self) -> RunChecks:
        """What the next cycle is checked with; for any thread."""
        return self._next_checks or self.parts.checks

    def newest_checks(self) -> RunChecks:
        """What a run that goes on after a pause is checked with. Only while no cycle can run."""
        self._take_checks()
        return self.parts.checks

    def _take_checks(self) -> None:
        if self._next_checks is not None:
            checks, self._next_checks = self._next_checks, None
            checks.follow(self.parts.checks)
            self.parts.checks = checks

    def cycle(self, tick: Tick, around: Surroundings, label: CycleLabel) -> CycleEnd:
        """One tick. The command, if any, has left when this returns; record and request have not."""
        clock = time.perf_counter_ns
        begin = clock()
        dt_s = self._step_time(tick.now_ns)
        self._begin_cycle(around.measured.values)
        source = clock()
        proposal = self._propose(tick.now_ns)
        queue = clock()
        parts = self.parts
        is_first = proposal.action is None and parts.queue.accepted == 0 and not parts.queue.refusal
        given = self._given(tick, around, proposal, dt_s=dt_s, is_waiting=is_first)
        result = parts.checks.chain.evaluate(given, parts.reactions.excused)
        checks = clock()
        answer = self._react(tick.now_ns, result, around, is_first=is_first)
        command = self._send(result.action if answer.may_send else None, answer, around, label)
        sink = clock()
        self._remember(command, tick.now_ns, dt_s, is_motion=answer.may_send)
        stages = _stages(begin, source, queue, checks, sink)
        record = self._record(
            tick, around, proposal, result=result, command=command, label=label, answer=answer, stages=stages
        )  # fmt: skip
        events = tuple(
            ContextEvent(label.stamp_ns, label.cycle_id, c.kind, c.reaction, c.severity, c.reason)
            for c in answer.changes
        )
        stop = answer.stop_because or ("" if is_first else self._finished())
        request = None if parts.reactions.is_retreating else parts.queue.request(tick.now_ns)
        return CycleEnd(record, command, request, stop, answer.emergency_because, events)

    def _begin_cycle(self, measured: Vector) -> None:
        self._take_checks()
        if measured and not self.parts.motion.is_seeded:
            self.parts.motion.seed(measured)
        self.parts.checks.advance(self.parts.pace.run_s, measured)

    def _propose(self, now_ns: int) -> Proposal:
        """The queue's action, or the way back."""
        parts = self.parts
        if not parts.reactions.is_retreating:
            return parts.queue.due(now_ns)
        return Proposal(parts.path[-1], 0.0, len(parts.path)) if parts.path else Proposal(None)

    def _react(self, now_ns: int, result: ChainResult, around: Surroundings, *, is_first: bool) -> Answer:
        # Only silence while nothing else is wrong is waiting; a stale joint state is not.
        is_waiting = is_first and result.deciding.may_move
        return self.parts.reactions.look(
            now_ns,
            result.triggers,
            is_free=result.action is not None,
            is_waiting=is_waiting,
            reason=around.absence if is_waiting else result.deciding.reason,
            path_is_over=not self.parts.path,
        )

    def _finished(self) -> str:
        """Why a run of limited length is over, in the cycle that is its last; waiting for the policy is none."""
        pace = self.parts.pace
        if pace.cycles_left > 0:
            pace.cycles_left -= 1
            if pace.cycles_left == 0:
                return CYCLES_DONE
        return ""

    def _record(
        self,
        tick: Tick,
        around: Surroundings,
        proposal: Proposal,
        *,
        result: ChainResult,
        command: JointCommand | None,
        label: CycleLabel,
        answer: Answer,
        stages: tuple[StageStat, ...],
    ) -> CycleRecord:
        checks, deciding = self.parts.checks, result.deciding
        reason = deciding.reason or answer.stop_because or (WAITING if proposal.action is None else "")
        return CycleRecord(
            cycle_id=label.cycle_id,
            decision=deciding.decision,
            outcome=_outcome(command, proposal),
            stamp_ns=label.stamp_ns,
            state=RUNNING,
            unit=self.space.unit,
            joint_names=self.space.joint_names,
            late=tick.is_late,
            risk=self._risk.add(deciding.decision, steady_ns=tick.now_ns),
            steady_ns=tick.now_ns,
            epoch=self.epoch,
            session_id=self.session_id,
            reason=reason,
            reaction=answer.reaction,
            enforcement=checks.rules.enforcement,
            task=checks.task.name,
            active_boundaries=checks.boundaries.names,
            config_version=checks.config_version,
            measured=around.measured.values,
            proposed=proposal.action or (),
            executed=command.positions if command is not None else (),
            queue_steps=proposal.steps_left,
            action_age_s=proposal.age_s,
            joint_age_s=around.measured.age_s(tick.now_ns),
            scores=tuple(self.queue.scores.values()),
            scores_age_s=self.queue.scores_age_s(tick.now_ns),
            verdicts=result.verdicts,
            stages=stages,
            deadline_ms=self.period_s * 1e3,
        )

    def _step_time(self, now_ns: int) -> float:
        before_ns, self._last_tick_ns = self._last_tick_ns, now_ns
        period_s = self.period_s
        if before_ns is None:
            return period_s
        passed_s = seconds_between(before_ns, now_ns)
        self.parts.pace.passed(max(0.0, passed_s))
        if passed_s > _STALL * period_s:
            self.parts.motion.pause()
        return min(max(passed_s, _SHORTEST_DT * period_s), _LONGEST_DT * period_s)

    def _given(
        self, tick: Tick, around: Surroundings, proposal: Proposal, *, dt_s: float, is_waiting: bool
    ) -> CheckInput:
        parts = self.parts
        speed = parts.pace.ramp * parts.reactions.speed
        limits = parts.checks.limits if speed == 1.0 else parts.checks.limits.slowed(speed)
        queue, motion = parts.queue, parts.motion
        return CheckInput(
            joint_names=self.space.joint_names,
            unit=self.space.unit,
            limits=limits,
            dt_s=dt_s,
            measured=around.measured.values,
            joint_age_s=around.measured.age_s(tick.now_ns),
            previous_command=motion.command,
            previous_velocity=motion.velocity,
            previous_acceleration=motion.acceleration,
            proposed=proposal.action,
            proposed_names=self.space.joint_names,
            action_age_s=proposal.age_s,
            absence=around.absence,
            is_waiting=is_waiting,
            joint_refusal=around.measured.refusal,
            foreign_publishers=around.foreign_publishers,
            late_in_row=tick.late_in_row,
            now_s=tick.now_ns / NS,
            run_s=parts.pace.run_s,
            chunk_sequence=queue.accepted,
            overlap=queue.overlap,
            scores=queue.scores,
            scores_age_s=queue.scores_age_s(tick.now_ns),
            hardware=around.hardware,
            hardware_age_s=around.hardware_age_s,
            host=around.host,
            host_age_s=around.host_age_s,
            embodiment_age_s=around.embodiment_age_s,
            embodiment_problem=around.embodiment_problem,
        )

    def _send(
        self, action: Vector | None, answer: Answer, around: Surroundings, label: CycleLabel
    ) -> JointCommand | None:
        if action is None and answer.hold_at_measured and around.measured.values:
            # The last target pushes against something: this one asks for no motion at all.
            action = around.measured.values
        if action is None:
            return None
        command = JointCommand(
            self.space.joint_names, action, self.epoch, label.sequence, label.stamp_ns, self.period_s
        )
        return command if self._commit(self.epoch, command, self.space) else None

    def _remember(self, command: JointCommand | None, now_ns: int, dt_s: float, *, is_motion: bool) -> None:
        parts = self.parts
        if command is not None:
            parts.motion.moved(command.positions, dt_s)
        if command is None or not is_motion:
            parts.motion.pause()
        elif parts.reactions.is_retreating:
            if parts.path and command.positions == parts.path[-1]:
                parts.path.pop()
        else:
            parts.path.append(command.positions)
            parts.queue.played(now_ns, dt_s)


def _outcome(command: JointCommand | None, proposal: Proposal) -> Outcome:
    if command is None:
        return Outcome.HELD
    return Outcome.SENT if command.positions == proposal.action else Outcome.ADJUSTED


def _stages(begin: int, source: int, queue: int, checks: int, sink: int) -> tuple[StageStat, ...]:
    """Durations of this one cycle from instants in ns."""
    spans = (
        ("source", source - begin),
        ("queue", queue - source),
        ("checks", checks - queue),
        ("sink", sink - checks),
        ("total", sink - begin),
    )
    return tuple(StageStat(name, 1, ns / 1e6, ns / 1e6, ns / 1e6, ns / 1e6) for name, ns in spans)
