# SPDX-License-Identifier: Apache-2.0
"""The control cycle of one run: joints and queue → checks → command → record. No ROS, no clock of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.cycle import ChunkRequest, CycleRecord, JointCommand
from lerobot_arena.core.session import RUNNING
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Outcome
from lerobot_arena.guard.chain import Chain, ChainResult
from lerobot_arena.guard.checks.finite import Finite
from lerobot_arena.guard.checks.protocol import CheckInput
from lerobot_arena.guard.chunk_queue import ChunkQueue, Proposal
from lerobot_arena.guard.holding import HoldWatch
from lerobot_arena.guard.joint_inbox import Measured
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.motion import MotionMemory
from lerobot_arena.guard.pacing import Tick

WAITING = "Waiting for the first action chunk."
# A stalled loop must not use the lost time for one large step, nor a hurried one run faster than its limits.
_SHORTEST_DT, _LONGEST_DT = 0.5, 2.0
# After so many periods without a command the arm has come to rest.
_STALL = 4.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What other threads know in this cycle. `absence`: why inference gave nothing, should it have given nothing."""

    measured: Measured
    foreign_publishers: tuple[str, ...] = ()
    absence: str = ""


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
    stop_because: str


class ControlLoop:
    """Begins disarmed of history at `start`; lives for one epoch. `commit` sends unless the run has ended."""

    def __init__(
        self,
        *,
        epoch: int,
        session_id: str,
        space: JointSpace,
        chain: Chain,
        queue: ChunkQueue,
        motion: MotionMemory,
        holding: HoldWatch,
        period_s: float,
        commit: Callable[[int, JointCommand, JointSpace], bool],
    ) -> None:
        self.epoch, self.session_id, self.space = epoch, session_id, space
        self.queue, self.motion = queue, motion
        self._chain, self._holding = chain, holding
        self._period_s, self._commit = period_s, commit
        self._last_tick_ns: int | None = None

    def cycle(self, tick: Tick, around: Surroundings, label: CycleLabel) -> CycleEnd:
        """One tick. The command, if any, has left when this returns; record and request have not."""
        clock = time.perf_counter_ns
        begin = clock()
        dt_s = self._step_time(tick.now_ns)
        if around.measured.values and not self.motion.is_seeded:
            self.motion.seed(around.measured.values)
        source = clock()
        proposal = self.queue.due(tick.now_ns)
        queue = clock()
        is_first = proposal.action is None and self.queue.accepted == 0 and not self.queue.refusal
        result = self._chain.evaluate(self._given(tick, around, proposal, dt_s=dt_s, is_waiting=is_first))
        checks = clock()
        command = self._send(result.action, label)
        sink = clock()
        self._remember(command, tick.now_ns, dt_s)
        # Only silence while nothing else is wrong is waiting; a stale joint state is not.
        is_waiting = is_first and result.deciding.may_move
        reason = result.deciding.reason or (WAITING if is_waiting else "")
        record = replace(
            self._record(tick, around, proposal, result=result, command=command, label=label),
            reason=reason,
            stages=_stages(begin, source, queue, checks, sink),
        )
        stop_because = self._hold(tick, around, record, is_waiting=is_waiting) if command is None else ""
        return CycleEnd(record, command, self.queue.request(tick.now_ns), stop_because)

    def _hold(self, tick: Tick, around: Surroundings, record: CycleRecord, *, is_waiting: bool) -> str:
        return self._holding.held(
            tick.now_ns,
            around.absence if is_waiting else record.reason,
            is_waiting=is_waiting,
            is_nonfinite=any(v.check == Finite.name and not v.may_move for v in record.verdicts),
        )

    def _record(
        self,
        tick: Tick,
        around: Surroundings,
        proposal: Proposal,
        *,
        result: ChainResult,
        command: JointCommand | None,
        label: CycleLabel,
    ) -> CycleRecord:
        return CycleRecord(
            cycle_id=label.cycle_id,
            decision=result.deciding.decision,
            outcome=_outcome(command, proposal),
            stamp_ns=label.stamp_ns,
            state=RUNNING,
            unit=self.space.unit,
            joint_names=self.space.joint_names,
            late=tick.is_late,
            epoch=self.epoch,
            session_id=self.session_id,
            measured=around.measured.values,
            proposed=proposal.action or (),
            executed=command.positions if command is not None else (),
            queue_steps=proposal.steps_left,
            action_age_s=proposal.age_s,
            verdicts=result.verdicts,
            deadline_ms=self._period_s * 1e3,
        )

    def _step_time(self, now_ns: int) -> float:
        before_ns, self._last_tick_ns = self._last_tick_ns, now_ns
        if before_ns is None:
            return self._period_s
        passed_s = seconds_between(before_ns, now_ns)
        if passed_s > _STALL * self._period_s:
            self.motion.pause()
        return min(max(passed_s, _SHORTEST_DT * self._period_s), _LONGEST_DT * self._period_s)

    def _given(
        self, tick: Tick, around: Surroundings, proposal: Proposal, *, dt_s: float, is_waiting: bool
    ) -> CheckInput:
        return CheckInput(
            joint_names=self.space.joint_names,
            unit=self.space.unit,
            limits=self.space.limits,
            dt_s=dt_s,
            measured=around.measured.values,
            joint_age_s=around.measured.age_s(tick.now_ns),
            previous_command=self.motion.command,
            previous_velocity=self.motion.velocity,
            proposed=proposal.action,
            proposed_names=self.space.joint_names,
            action_age_s=proposal.age_s,
            absence=around.absence,
            is_waiting=is_waiting,
            joint_refusal=around.measured.refusal,
            foreign_publishers=around.foreign_publishers,
            late_in_row=tick.late_in_row,
        )

    def _send(self, action: Vector | None, label: CycleLabel) -> JointCommand | None:
        if action is None:
            return None
        command = JointCommand(
            self.space.joint_names, action, self.epoch, label.sequence, label.stamp_ns, self._period_s
        )
        return command if self._commit(self.epoch, command, self.space) else None

    def _remember(self, command: JointCommand | None, now_ns: int, dt_s: float) -> None:
        if command is None:
            self.motion.pause()
            return
        self.motion.moved(command.positions, dt_s)
        self.queue.played(now_ns, dt_s)
        self._holding.went_on()


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
