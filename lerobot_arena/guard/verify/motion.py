# SPDX-License-Identifier: Apache-2.0
"""Faults of where the policy wants to go, and of when it wanted that (A7 to A17, A20)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import nan

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.reaction import SLOW_DOWN
from lerobot_arena.core.session import RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import Node
from lerobot_arena.guard.verify.asking import Change, accepted, ask, never_played, run_of, said, until_over
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import Policy

# A limit that lets a joint cross its whole range sooner limits nothing.
_FASTEST_CROSSING_S = 0.25
_LONGEST_ACTION_AGE_S = 5.0


def _one_joint(subject: Subject, index: int, share: float) -> Policy:
    goal = np.array(subject.home)
    goal[index] += share * subject.spans[index]
    return lambda measured: np.tile(goal, (30, 1))


def degrees_as_radians(subject: Subject, claims: Claims) -> None:
    target = np.degrees(np.array(subject.home) + 0.7)
    world = subject.world(lambda measured: np.tile(target, (30, 1)))
    world.arm.start()
    until_over(world, subject.cycles(2.0 + subject.params.hold_grace_s))
    claims.kept_limits(world)
    claims.state(world, STOPPED, "unit")
    moved = max(
        abs(value - home) / span
        for command in world.commands
        for value, home, span in zip(command.positions, subject.home, subject.spans)
    )
    claims.that(moved < 0.2, f"moved by {moved:.1%} of a joint's range at most")


def huge_step(subject: Subject, claims: Claims) -> None:
    world = subject.running(subject.towards(0.2, 0.1))
    begin = np.array(subject.home)
    shares = [(np.array(c.positions) - begin) / subject.spans for c in world.commands[:12]]
    if len(begin) > 1:
        on_path = all(abs(share[1] - 0.5 * share[0]) < 1e-6 for share in shares)
        claims.that(on_path, "the step is shortened whole: the arm stays on the policy's path")
    claims.that(said(world, "", Decision.CLAMP), "CLAMP is reported")
    for index, joint in enumerate(subject.robot.joints):
        for share in (0.3, -0.3):
            one = subject.world(_one_joint(subject, index, share))
            one.start()
            one.step(subject.cycles(subject.params.ramp_s + 1.0))
            claims.kept_limits(one)
        crossing_s = subject.spans[index] / joint.max_velocity_rad_s
        claims.that(
            crossing_s >= _FASTEST_CROSSING_S,
            f"{joint.name} needs {crossing_s:.2f} s for its range",
            f"max_velocity_rad_s lets {joint.name} cross its whole range in {crossing_s:.2g} s: that limits nothing",
        )


def _slowly(policy: Policy) -> Change:
    """The policy's plan under a step so long that it claims to be slow."""
    return lambda chunk: replace(chunk, actions=policy(()), dt_s=10.0)


def declared_slow(subject: Subject, claims: Claims) -> None:
    for index in range(len(subject.robot.joints)):
        world = subject.running(subject.towards())
        world.edit_chunk = _slowly(_one_joint(subject, index, 0.3))
        world.step(subject.cycles(1.0))
        claims.kept_limits(world)


def sudden_speed(subject: Subject, claims: Claims) -> None:
    params = replace(subject.params, ramp_s=0.0)
    for index, joint in enumerate(subject.robot.joints):
        world = subject.world(_one_joint(subject, index, 0.3), params=params)
        world.start()
        world.step(subject.cycles(0.5))
        positions = np.array([subject.home, *(command.positions for command in world.commands)])
        speeds = np.abs(np.diff(positions, axis=0)) * subject.params.control_rate_hz
        growth = np.diff(speeds, axis=0, prepend=np.zeros((1, len(subject.home))))
        hardest = float(np.max(growth)) * subject.params.control_rate_hz
        claims.that(
            hardest <= joint.max_acceleration_rad_s2 * 1.001,
            f"{joint.name} speeds up at {hardest:.3g} rad/s²",
            f"{joint.name} speeds up at {hardest:.3g} rad/s², allowed are {joint.max_acceleration_rad_s2:.3g}",
        )
        is_some = joint.max_acceleration_rad_s2 / subject.params.control_rate_hz < joint.max_velocity_rad_s
        claims.that(is_some, "", f"max_acceleration_rad_s2 lets {joint.name} reach full speed in one cycle")


def outside_the_range(subject: Subject, claims: Claims) -> None:
    for index in range(len(subject.robot.joints)):
        for share in (0.9, -0.9):
            world = subject.world(_one_joint(subject, index, share))
            world.start()
            world.step(subject.cycles(3.0))
            claims.kept_limits(world)


def begins_outside(subject: Subject, claims: Claims) -> None:
    index = max(i for i, joint in enumerate(subject.robot.joints) if not joint.scale.is_gripper)
    outside = list(subject.home)
    outside[index] = subject.robot.joints[index].upper_rad + 0.15

    def to(target: float) -> Policy:
        goal = np.array(outside)
        goal[index] = target
        return lambda measured: np.tile(goal, (30, 1))

    inward = subject.world(to(subject.home[index]), measured=outside)
    inward.start()
    inward.step(subject.cycles(1.0))
    path = [outside[index], *(command.positions[index] for command in inward.commands)]
    claims.that(
        all(b <= a for a, b in pairwise(path)) and path[-1] < path[0], "inward at once, and never outward"
    )
    claims.kept_limits(inward, inside=False)
    outward = subject.world(to(outside[index] + 0.5), measured=outside)
    outward.start()
    outward.step(subject.cycles(0.5))
    farthest = max(command.positions[index] for command in outward.commands)
    claims.that(
        farthest <= outside[index], "no further out", f"{farthest - outside[index]:.3g} rad further out"
    )


def too_old(subject: Subject, claims: Claims) -> None:
    timeout_s = subject.params.action_timeout_s
    claims.that(
        timeout_s <= _LONGEST_ACTION_AGE_S,
        f"action_timeout_s {timeout_s:g}",
        f"action_timeout_s {timeout_s:g} s: so long it acts on what it saw once; {_LONGEST_ACTION_AGE_S:g} s at most",
    )
    world = subject.running()
    world.edit_chunk = lambda chunk: replace(chunk, observation_age_s=timeout_s + 0.5)
    until_over(world, subject.cycles(3.0 + timeout_s + subject.params.hold_grace_s))
    oldest = max(cycle.action_age_s for cycle in world.ports.cycles if cycle.executed)
    claims.that(oldest <= timeout_s, f"oldest action executed: {oldest:.2f} s")
    claims.state(world, STOPPED, "old")


def from_the_future(subject: Subject, claims: Claims) -> None:
    never_played(subject, claims, lambda chunk: replace(chunk, observation_age_s=-0.2), "age -0.2 s")
    never_played(subject, claims, lambda chunk: replace(chunk, observation_age_s=nan), "age NaN")
    world = subject.running()
    command = run_of(world).loop.parts.motion.command
    for age_s in (-0.2, nan):
        result = ask(world, command, action_age_s=age_s)
        claims.that(result.action is None, f"an action of age {age_s:g} s is rejected")


def repeated(subject: Subject, claims: Claims) -> None:
    never_played(subject, claims, lambda chunk: replace(chunk, sequence=1), "an old sequence number")


def _to_and_fro(subject: Subject) -> Policy:
    """Each chunk wants the arm at once on the other side of home."""
    sides = iter(range(100_000))
    return lambda measured: subject.towards(0.1 if next(sides) % 2 else 0.0)(measured)


def jumping_chunks(subject: Subject, claims: Claims) -> None:
    sides = iter(range(100_000))

    def zigzag(measured: Sequence[float]) -> FloatArray:
        way = np.zeros(len(subject.home))
        way[0] = (0.15 if next(sides) % 2 else -0.15) * subject.spans[0]
        return np.array(measured) + np.arange(30)[:, None] / 30 * way

    node = Node("chunk_overlap", params={"max_share": 0.02, "in_row": 2}, fallback=SLOW_DOWN)
    world = subject.running(zigzag, config=subject.guarded_only_by(node))
    world.step(subject.cycles(4.0))
    claims.kept_limits(world)
    claims.that(
        any(cycle.reaction == SLOW_DOWN for cycle in world.ports.cycles),
        "chunks that contradict each other slow the arm down",
    )
    late = subject.running(_to_and_fro(subject))
    late.latency_s = 0.3
    late.step(subject.cycles(2.0))
    claims.kept_limits(late)


def from_before_a_stop(subject: Subject, claims: Claims) -> None:
    world = subject.world()
    world.latency_s = 0.3
    world.start()
    asked = world.ports.requests[-1]
    world.arm.stop()
    world.arm.start()
    sent = len(world.commands)
    world.arm.on_chunk(world.make_chunk(asked))
    world.step(2)
    claims.silent_since(world, sent, "from a chunk of the run before")
    claims.that(accepted(world) == 0, "discarded by its epoch", f"{accepted(world)} chunks were taken")


def frozen_policy(subject: Subject, claims: Claims) -> None:
    node = Node("frozen_policy", params={"window_s": 1.0})
    world = subject.world(subject.towards(), config=subject.guarded_by(node))
    world.start()

    def look(chunk: ActionChunk) -> ActionChunk:
        return replace(chunk, scores=tuple(_stirred(chunk.scores, chunk.sequence)))

    world.edit_chunk = look
    world.step(subject.cycles(4.0))
    claims.that(said(world, "frozen_policy", Decision.CLAMP), "a warning")
    claims.state(world, RUNNING)
    claims.kept_limits(world)


def _stirred(scores: Sequence[Score], sequence: int) -> list[Score]:
    return [replace(score, value=score.value + 0.001 * (sequence % 7)) for score in scores]


ROWS = (
    FaultRow(
        "A7",
        "degrees sent as radians",
        "limited from the first step on, then rejected as another unit",
        degrees_as_radians,
        ("unit_suspicion",),
    ),
    FaultRow(
        "A8",
        "a huge step",
        "the whole step is shortened so that no joint is faster than its limit",
        huge_step,
        ("velocity",),
    ),
    FaultRow(
        "A9",
        "a step that is declared slow and is large",
        "what counts is the distance from command to command",
        declared_slow,
        ("velocity",),
    ),
    FaultRow(
        "A10",
        "a spike in acceleration inside the velocity limit",
        "softened from the previous command on",
        sudden_speed,
        ("acceleration",),
    ),
    FaultRow(
        "A11",
        "a target outside the range",
        "clamped to the range, with room to brake",
        outside_the_range,
        ("position_limits",),
    ),
    FaultRow(
        "A12",
        "the arm begins outside its range",
        "it may move inward only, and never jumps",
        begins_outside,
        ("position_limits",),
    ),
    FaultRow(
        "A13",
        "an action older than allowed",
        "never executed; the arm holds and stops with the reason",
        too_old,
        ("action_age",),
    ),
    FaultRow("A14", "an action from the future", "refused", from_the_future, ("action_age",)),
    FaultRow(
        "A15", "a chunk that comes again, or out of order", "dropped and counted", repeated, ("sequence",)
    ),
    FaultRow(
        "A16",
        "a jump between chunks, a late chunk",
        "limited, and told apart by comparing their plans",
        jumping_chunks,
        ("chunk_overlap", "velocity"),
    ),
    FaultRow(
        "A17",
        "a chunk from before a stop arrives after the next start",
        "discarded by its epoch",
        from_before_a_stop,
        ("epoch",),
    ),
    FaultRow(
        "A20",
        "a policy that keeps repeating itself",
        "a warning, and no stop",
        frozen_policy,
        ("frozen_policy",),
    ),
)
