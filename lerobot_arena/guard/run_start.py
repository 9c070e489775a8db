# SPDX-License-Identifier: Apache-2.0
"""Putting together what a start, or a resume, runs on. Done before the state's lock is taken."""

from collections.abc import Callable
from dataclasses import dataclass

from lerobot_arena.core.cycle import JointCommand
from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.guard_config import (
    LONGEST_PERIOD_S,
    MOST_CYCLES,
    SHORTEST_PERIOD_S,
    UNTIL_STOPPED,
    RunWanted,
)
from lerobot_arena.core.risk import RiskWindow
from lerobot_arena.guard.chunk_queue import ChunkQueue
from lerobot_arena.guard.inference_watch import RunWatch
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.knowledge import Knowledge
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.loop import ControlLoop, Pace, RunParts
from lerobot_arena.guard.motion import MotionMemory
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.reactions import ReactionRules, Reactions
from lerobot_arena.guard.report import Run
from lerobot_arena.guard.run_checks import RunChecks

Commit = Callable[[int, JointCommand, JointSpace], bool]


def period_of(run: RunWanted, params: GuardParams) -> float:
    """The control period of a run. Raises Conflict when the wanted one is outside what a loop can keep."""
    if run.cycle_budget_ms == 0.0:
        return 1.0 / params.control_rate_hz
    period_s = run.cycle_budget_ms / 1e3
    if not SHORTEST_PERIOD_S <= period_s <= LONGEST_PERIOD_S:
        raise Conflict(
            f"A cycle budget of {run.cycle_budget_ms:g} ms is outside {SHORTEST_PERIOD_S * 1e3:g} to "
            f"{LONGEST_PERIOD_S * 1e3:g} ms."
        )
    return period_s


def cycles_of(run: RunWanted) -> int:
    """How many cycles a run may move for. Raises Conflict for a number that is none."""
    if run.n_cycles != UNTIL_STOPPED and not 1 <= run.n_cycles <= MOST_CYCLES:
        raise Conflict(
            f"{run.n_cycles} cycles cannot be run: give 1 to {MOST_CYCLES}, or {UNTIL_STOPPED} until it is stopped."
        )
    return run.n_cycles


def reaction_rules(params: GuardParams, *, is_virtual: bool) -> ReactionRules:
    """A client's arm has nothing that a latch could stop: it is stopped instead."""
    return ReactionRules(
        params.hold_grace_s,
        params.first_chunk_timeout_s,
        params.nonfinite_limit,
        params.slow_factor,
        params.slow_release_s,
        params.slow_limit_s,
        params.retreat_s,
        may_latch=not is_virtual,
    )


@dataclass(frozen=True, slots=True)
class RunStart:
    """Builds runs of one arm; `risk` outlives them."""

    knowledge: Knowledge
    params: GuardParams
    risk: RiskWindow
    commit: Commit

    def first(self, epoch: int, checks: RunChecks, pace: Pace, before: Run | None) -> Run:
        """A new run. Raises Conflict when its session went away meanwhile."""
        return self._run(epoch, checks, pace, before)

    def again(self, epoch: int, paused: Run) -> Run:
        """What was paused, in a new epoch: an empty queue, the arm at rest where it is, time and checks going on."""
        old = paused.loop.parts
        pace = Pace(old.pace.period_s, old.pace.ramp_s, old.pace.run_s, old.pace.cycles_left)
        return self._run(epoch, paused.loop.newest_checks(), pace, paused)

    def _run(self, epoch: int, checks: RunChecks, pace: Pace, before: Run | None) -> Run:
        session, space, params = self.knowledge.session, self.knowledge.space, self.params
        if session is None or space is None:
            raise Conflict("The session went away.")
        last: Vector = ()
        if before is not None and before.loop.space == space:
            last = before.loop.parts.motion.command
        queue = ChunkQueue(
            space,
            session_id=session.session_id,
            epoch=epoch,
            period_s=pace.period_s,
            action_timeout_s=params.action_timeout_s,
        )
        parts = RunParts(
            space,
            checks,
            queue,
            MotionMemory(tuple(params.reseed_tolerance * span for span in space.spans), last),
            Reactions(reaction_rules(params, is_virtual=self.knowledge.is_virtual)),
            pace,
        )
        loop = ControlLoop(
            epoch=epoch, session_id=session.session_id, parts=parts, risk=self.risk, commit=self.commit
        )
        status = self.knowledge.status
        return Run(
            session.session_id,
            status.unit if status is not None else "",
            loop,
            RunWatch(session.session_id, self.knowledge.report),
        )
