# SPDX-License-Identifier: Apache-2.0
"""Faults of what the policy sends: values and shapes (A1 to A6, A18, A19)."""

from dataclasses import replace
from math import inf, nan

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.session import EMERGENCY, RUNNING
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.verify.asking import Change, ask, never_played, run_of, spoil, until_held
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject

_LONGEST_ROW = 3000


def bad_value(value: float) -> "list[Change]":
    """The value in the first, and in the last joint of every step."""
    return [spoil(slice(None), 0, value), spoil(slice(None), -1, value)]


def _rejected_and_latched(subject: Subject, claims: Claims, change: Change, what: str) -> None:
    world = subject.running()
    world.edit_chunk = change
    record = until_held(world, subject.cycles(3.0))
    sent = len(world.commands)
    claims.that(
        record.decision is Decision.REJECT and "not finite" in record.reason,
        f"{what}: rejected whole in its cycle",
        f"{what}: {record.decision.name}, {record.outcome.name} {record.reason}",
    )
    world.step(min(subject.params.nonfinite_limit, _LONGEST_ROW))
    claims.silent_since(world, sent, f"after {what}")
    claims.state(world, EMERGENCY, "not finite")
    claims.kept_limits(world)


def not_a_number(subject: Subject, claims: Claims) -> None:
    for change in bad_value(nan):
        _rejected_and_latched(subject, claims, change, "NaN")
    world = subject.running()
    world.edit_chunk = spoil(2, 0, nan)
    held = until_held(world, subject.cycles(2.0))
    world.edit_chunk = lambda chunk: chunk
    world.step(subject.cycles(1.0))
    record = world.ports.cycles[-1]
    claims.that(
        held.outcome is Outcome.HELD and world.state == RUNNING and record.outcome is not Outcome.HELD,
        "one NaN holds its cycle and the run goes on",
        f"after one NaN: {world.state}, {record.outcome.name}",
    )


def not_finite(subject: Subject, claims: Claims) -> None:
    for value in (inf, -inf, 1e308):
        _rejected_and_latched(subject, claims, spoil(slice(None), 0, value), f"{value:g}")
    world = subject.running(subject.towards())
    world.edit_chunk = spoil(slice(None), 0, 5e-324)
    world.step(30)
    claims.that(world.state == RUNNING, "a denormal number is one like any other")
    claims.kept_limits(world)


def _columns(count: int, names: tuple[str, ...] | None = None) -> Change:
    """The first `count` columns; the names too unless others are given."""

    def change(chunk: ActionChunk) -> ActionChunk:
        return replace(
            chunk, actions=chunk.actions[:, :count], joint_names=names or chunk.joint_names[:count]
        )

    return change


def too_short(subject: Subject, claims: Claims) -> None:
    count, names = len(subject.robot.joints) - 1, subject.robot.joint_names
    never_played(subject, claims, _columns(count), "one joint less")
    never_played(subject, claims, _columns(count, names), "one value less under all names")


def too_long(subject: Subject, claims: Claims) -> None:
    def longer(chunk: ActionChunk) -> ActionChunk:
        return replace(
            chunk,
            actions=np.hstack([chunk.actions, chunk.actions[:, :1]]),
            joint_names=(*chunk.joint_names, "tail"),
        )

    never_played(subject, claims, longer, "one joint more")


def no_numbers(subject: Subject, claims: Claims) -> None:
    never_played(subject, claims, lambda chunk: replace(chunk, actions=chunk.actions[:0]), "no step at all")
    flat = spoil(0, 0, 0.0)
    never_played(subject, claims, lambda chunk: replace(flat(chunk), actions=chunk.actions[0]), "a flat list")
    world = subject.running()
    home = run_of(world).loop.parts.motion.command
    for action, what in (
        ((), "nothing"),
        (("a",) * len(home), "texts"),
        ((True,) * len(home), "bools"),
        (list(home), "a list"),
        (home[:-1], "a value less"),
        ((*home, 0.0), "a value more"),
    ):
        result = ask(world, action)
        claims.that(
            result.action is None and result.deciding.decision >= Decision.REJECT,
            f"{what}: {result.deciding.reason}",
            f"{what}: {result.deciding.decision.name}",
        )


def wrong_names(subject: Subject, claims: Claims) -> None:
    names = subject.robot.joint_names
    count = len(names)
    never_played(subject, claims, _columns(count, (*names[:-1], "tail")), "an unknown name")
    never_played(subject, claims, _columns(count, (*names[:-1], names[0])), "a name twice")
    world = subject.running()
    result = ask(world, run_of(world).loop.parts.motion.command, tuple(reversed(names)))
    claims.that(result.action is None, "names in another order than the values are not guessed at")

    def backwards(chunk: ActionChunk) -> ActionChunk:
        return replace(chunk, actions=chunk.actions[:, ::-1], joint_names=chunk.joint_names[::-1])

    worlds = subject.running(), subject.running()
    worlds[1].edit_chunk = backwards
    ends = []
    for each in worlds:
        each.step(subject.cycles(1.0))
        ends.append(np.array(each.commands[-1].positions))
    claims.that(
        bool(np.allclose(ends[0], ends[1], atol=1e-6)),
        "a full permutation is put in order by name",
        f"reordered names led to {ends[1]}, not {ends[0]}",
    )


def gripper_beyond(subject: Subject, claims: Claims) -> None:
    grippers = [i for i, joint in enumerate(subject.robot.joints) if joint.scale.is_gripper]
    if not grippers:
        claims.that(True, "this robot file names no gripper")
        return
    index = grippers[0]
    joint = subject.robot.joints[index]
    goal = np.array(subject.home)
    goal[index] = joint.upper_rad + 0.5 * subject.spans[index]
    goal[0] += 0.03 * subject.spans[0]
    world = subject.running(lambda measured: np.tile(goal, (30, 1)))
    world.step(subject.cycles(4.0))
    claims.kept_limits(world)
    moved = world.commands[-1].positions[0] - subject.home[0]
    claims.that(
        abs(moved - 0.03 * subject.spans[0]) < 1e-3,
        "a gripper at its stop does not freeze the arm",
        f"moved {moved}",
    )
    _rejected_and_latched(subject, claims, spoil(slice(None), index, nan), "NaN for the gripper")


def pose_columns(subject: Subject, claims: Claims) -> None:
    names = (*subject.robot.joint_names, "qx", "qy", "qz", "qw")

    def posed(chunk: ActionChunk) -> ActionChunk:
        return replace(
            chunk, actions=np.hstack([chunk.actions, np.zeros((len(chunk.actions), 4))]), joint_names=names
        )

    never_played(subject, claims, posed, "a quaternion of zeros beside the joints")


ROWS = (
    FaultRow(
        "A1",
        "NaN in an action",
        "rejected whole, held in that cycle, resumed by the next good one; several in a row latch",
        not_a_number,
        ("finite",),
    ),
    FaultRow(
        "A2",
        "infinity, 1e308, denormals",
        "as A1; what the limiters make of it is checked too",
        not_finite,
        ("finite",),
    ),
    FaultRow(
        "A3", "fewer values than joints", "refused with the reason, never padded", too_short, ("joint_order",)
    ),
    FaultRow(
        "A4", "more values than joints", "refused with the reason, never cut", too_long, ("joint_order",)
    ),
    FaultRow(
        "A5",
        "an action that is empty or no list of numbers",
        "refused, the reason names what it is",
        no_numbers,
        ("shape_names",),
    ),
    FaultRow(
        "A6",
        "joint names unknown, missing or twice",
        "refused; a full permutation is put in order by name",
        wrong_names,
        ("shape_names", "joint_order"),
    ),
    FaultRow(
        "A18",
        "gripper beyond its range",
        "clamped to its stop, the arm goes on; NaN rejects all",
        gripper_beyond,
        ("position_limits",),
    ),
    FaultRow(
        "A19",
        "a pose with an impossible quaternion",
        "poses are not taken: refused with the reason",
        pose_columns,
        ("joint_order",),
    ),
)
