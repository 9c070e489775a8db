# SPDX-License-Identifier: Apache-2.0
"""What the rows of the fault list do with a world: tamper with chunks, wait for a hold, ask the chain directly."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import NS
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.session import STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.chain import ChainResult
from lerobot_arena.guard.checks.protocol import CheckInput
from lerobot_arena.guard.report import Run
from lerobot_arena.guard.verify.row import Claims
from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import GuardWorld

Change = Callable[[ActionChunk], ActionChunk]


def spoil(rows: int | slice, joint: int, value: float) -> Change:
    """Write a value into a joint's column."""

    def change(chunk: ActionChunk) -> ActionChunk:
        actions = chunk.actions.copy()
        actions[rows, joint] = value
        return replace(chunk, actions=actions)

    return change


def run_of(world: GuardWorld) -> Run:
    """The run that is on. Raises ValueError when nothing was started."""
    run = world.arm.run
    if run is None:
        raise ValueError("Nothing runs.")
    return run


def accepted(world: GuardWorld) -> int:
    """Chunks this run has taken."""
    return run_of(world).loop.queue.accepted


def until_held(world: GuardWorld, cycles: int) -> CycleRecord:
    """Go on until a cycle holds, for so many cycles at most."""
    record = world.step()
    for _ in range(cycles):
        if record.outcome is Outcome.HELD:
            break
        record = world.step()
    return record


def until_over(world: GuardWorld, cycles: int) -> None:
    """Go on until the run has ended, for so many cycles at most."""
    for _ in range(cycles):
        if not world.arm.is_running:
            return
        world.step()


def said(world: GuardWorld, check: str, decision: Decision, *, since: int = 0) -> bool:
    """Whether a check of this name, or of a boundary with it in its name, answered so."""
    return any(
        check in verdict.check and verdict.decision is decision
        for cycle in world.ports.cycles[since:]
        for verdict in cycle.verdicts
    )


def ask(world: GuardWorld, action: Any, names: tuple[str, ...] | None = None, **values: Any) -> ChainResult:
    """Put an action before the checks of the run, past the queue that would have refused it."""
    parts, now_ns = run_of(world).loop.parts, world.clock.now_ns
    around = world.arm.knowledge.around(now_ns)
    given = CheckInput(
        joint_names=parts.space.joint_names,
        unit=parts.space.unit,
        limits=parts.checks.limits,
        dt_s=parts.pace.period_s,
        measured=around.measured.values,
        joint_age_s=0.0,
        previous_command=parts.motion.command or around.measured.values,
        previous_velocity=(0.0,) * len(parts.space.joint_names),
        proposed=action,
        proposed_names=parts.space.joint_names if names is None else names,
        now_s=now_ns / NS,
        run_s=parts.pace.run_s,
        host=around.host,
        host_age_s=around.host_age_s,
        hardware=around.hardware,
        hardware_age_s=around.hardware_age_s,
        scores=parts.queue.scores,
        scores_age_s=0.0,
    )
    return parts.checks.chain.evaluate(replace(given, **values))


def never_played(subject: Subject, claims: Claims, change: Change, what: str) -> None:
    """The chunk is refused with a reason; the queue runs out, the arm holds, and then the run stops."""
    world = subject.running()
    good = accepted(world)
    world.edit_chunk = change
    until_over(world, subject.cycles(3.0 + subject.params.action_timeout_s + subject.params.hold_grace_s))
    state = world.arm.state()
    claims.that(
        accepted(world) == good and state.state == STOPPED and "refused" in state.message,
        f"{what}: never played, stopped with the reason",
        f"{what}: {accepted(world) - good} played, {state.state} {state.message}",
    )
    claims.kept_limits(world)
