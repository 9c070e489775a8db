# SPDX-License-Identifier: Apache-2.0
"""The command gate: what it lets through, what it never lets through, and when commands count as stopped."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.cycle import JointCommand
from lerobot_arena.core.errors import Conflict, InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import load_robot
from lerobot_arena.embodiment.gate import CommandGate, GateRules

ROBOT = load_robot("so101")
RULES = GateRules(command_timeout_s=0.25, limit_tolerance_rad=0.02, max_command_age_s=0.5)
GUARD = frozenset({"guard 010f"})
ZERO = (0.0,) * 6


class Bench:
    """A gate, its clock, and commands that it accepts unless told otherwise."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.gate = CommandGate(ROBOT, RULES, self.clock)

    def command(self, epoch: int = 1, sequence: int = 0, **changes: object) -> JointCommand:
        command = JointCommand(ROBOT.joint_names, ZERO, epoch, sequence, self.clock.wall_ns(), 0.02)
        return replace(command, **changes)  # type: ignore[arg-type]

    def accept(
        self,
        command: JointCommand,
        publishers: frozenset[str] = GUARD,
        measured: FloatArray | None = None,
    ) -> FloatArray:
        return self.gate.accept(command, publishers, measured)

    def refuse(
        self,
        command: JointCommand,
        publishers: frozenset[str] = GUARD,
        measured: FloatArray | None = None,
    ) -> str:
        with pytest.raises((InvalidInput, Conflict)) as refused:
            self.gate.accept(command, publishers, measured)
        assert self.gate.refusal == str(refused.value)
        return str(refused.value)


@pytest.fixture
def bench() -> Bench:
    return Bench()


BAD = {
    "NaN": ({"positions": (0.0, nan, 0.0, 0.0, 0.0, 0.0)}, "not a finite number"),
    "infinite": ({"positions": (0.0, 0.0, inf, 0.0, 0.0, 0.0)}, "not a finite number"),
    "short": ({"positions": ZERO[:5]}, "5 positions for 6 joints"),
    "long": ({"positions": (*ZERO, 0.0)}, "7 positions for 6 joints"),
    "empty": ({"positions": (), "joint_names": ()}, "missing elbow_flex, gripper"),
    "misnamed": ({"joint_names": (*ROBOT.joint_names[:5], "claw")}, "unknown claw; missing gripper"),
    "an alias": ({"joint_names": ("Rotation", *ROBOT.joint_names[1:])}, "unknown Rotation"),
    "named twice": (
        {"joint_names": (*ROBOT.joint_names, "gripper"), "positions": (*ZERO, 0.0)},
        "one is named twice",
    ),
    "beyond a limit": (
        {"positions": (0.0, 0.0, 1.8, 0.0, 0.0, 0.0)},
        "elbow_flex at 1.8000 rad; it may be -1.6900 to 1.6900",
    ),
    "without a period": ({"period_s": 0.0}, "period"),
    "with a NaN period": ({"period_s": nan}, "period"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_command_is_refused_with_the_reason(bench: Bench, kind: str) -> None:
    changes, reason = BAD[kind]
    assert reason in bench.refuse(bench.command(**changes))
    assert (bench.gate.received, bench.gate.refused, bench.gate.is_holding) == (1, 1, True)
    assert bench.accept(bench.command()).tolist() == list(ZERO)


@pytest.mark.parametrize(("age_s", "words"), [(0.6, "0.60 s old"), (-0.6, "0.60 s in the future")])
def test_a_stale_or_future_stamp_is_refused(bench: Bench, age_s: float, words: str) -> None:
    stamp_ns = bench.clock.wall_ns() - round(age_s * 1e9)
    assert words in bench.refuse(bench.command(stamp_ns=stamp_ns))


def test_stamps_are_not_compared_between_different_clocks() -> None:
    clock = ManualClock()
    gate = CommandGate(ROBOT, replace(RULES, max_command_age_s=0.0), clock)
    assert gate.accept(JointCommand(ROBOT.joint_names, ZERO, 1, 0, 5, 0.02), GUARD).shape == (6,)


def test_positions_follow_their_names(bench: Bench) -> None:
    values = dict(zip(ROBOT.joint_names, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))
    names = tuple(reversed(ROBOT.joint_names))
    positions = bench.accept(bench.command(joint_names=names, positions=tuple(values[n] for n in names)))
    assert positions.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_a_second_living_publisher_stops_everything(bench: Bench) -> None:
    both = GUARD | {"teleop 010f"}
    reason = bench.refuse(bench.command(), both)
    assert "teleop" in reason and "guard" in reason
    assert bench.accept(bench.command()).shape == (6,)


def test_an_old_epoch_and_a_repeated_sequence_are_refused(bench: Bench) -> None:
    bench.accept(bench.command(5, 7))
    assert "late or repeated" in bench.refuse(bench.command(5, 7))
    assert "late or repeated" in bench.refuse(bench.command(5, 6))
    assert "epoch 4, which is over" in bench.refuse(bench.command(4, 100))
    bench.accept(bench.command(6, 0))
    assert "epoch 5, which is over" in bench.refuse(bench.command(5, 8))


def test_after_an_emergency_only_a_new_epoch_moves(bench: Bench) -> None:
    bench.accept(bench.command(5, 7))
    bench.gate.stop()
    assert "Emergency stop" in bench.refuse(bench.command(5, 8))
    assert "Emergency stop" in bench.refuse(bench.command(6, 0))
    assert bench.gate.is_holding
    bench.gate.clear()
    assert "which is over" in bench.refuse(bench.command(5, 9))
    bench.accept(bench.command(6, 0))


def test_an_emergency_before_the_first_command_needs_a_start_too(bench: Bench) -> None:
    bench.gate.stop()
    bench.gate.clear()
    assert "which is over" in bench.refuse(bench.command(0, 0))
    bench.accept(bench.command(1, 0))


def test_h3_h5_after_an_interruption_only_a_new_epoch_moves(bench: Bench) -> None:
    bench.accept(bench.command(5, 7))
    bench.gate.interrupt()
    bench.gate.interrupt()
    assert not bench.gate.is_stopped
    assert "epoch 5, which is over; start again" in bench.refuse(bench.command(5, 8))
    bench.accept(bench.command(6, 0))


def test_it_holds_until_the_first_command_and_after_the_time_out(bench: Bench) -> None:
    assert bench.gate.is_holding
    bench.accept(bench.command())
    bench.clock.advance(0.25)
    assert not bench.gate.is_holding
    bench.clock.advance(0.001)
    assert bench.gate.is_holding


def test_refused_commands_do_not_keep_the_arm_from_holding(bench: Bench) -> None:
    bench.accept(bench.command(1, 0))
    for number in range(10):
        bench.clock.advance(0.05)
        bench.refuse(bench.command(1, number + 1, positions=(nan,) * 6))
    assert bench.gate.is_holding


def elbow(value_rad: float) -> tuple[float, ...]:
    return (0.0, 0.0, value_rad, 0.0, 0.0, 0.0)


def test_a12_a_joint_outside_its_limits_may_stay_or_come_in_and_never_go_further_out(bench: Bench) -> None:
    """A12. The elbow's limit is 1.69 rad; it was pushed to 1.90."""
    outside = np.array(elbow(1.90))
    bench.accept(bench.command(1, 0, positions=elbow(1.90)), measured=outside)
    bench.accept(bench.command(1, 1, positions=elbow(1.85)), measured=outside)
    assert "it may be -1.6900 to 1.9000" in bench.refuse(
        bench.command(1, 2, positions=elbow(1.93)), measured=outside
    )
    assert "elbow_flex at 1.8500" in bench.refuse(bench.command(1, 2, positions=elbow(1.85)))
    for bad in (np.full(6, nan), np.zeros(5)):
        assert "elbow_flex at 1.8500" in bench.refuse(
            bench.command(1, 2, positions=elbow(1.85)), measured=bad
        )
    assert "shoulder_pan" in bench.refuse(
        bench.command(1, 2, positions=(2.1, 0.0, 1.85, 0.0, 0.0, 0.0)), measured=outside
    )


def test_a12_noise_does_not_matter_and_an_arm_that_yields_is_not_led_out_step_by_step(bench: Bench) -> None:
    for sequence, noise in enumerate((0.0, 0.003, -0.003, 0.002)):
        bench.accept(
            bench.command(1, sequence, positions=elbow(1.90)), measured=np.array(elbow(1.90 + noise))
        )
    place, sequence = 1.90, 10
    for _ in range(10):
        try:
            bench.accept(
                bench.command(1, sequence, positions=elbow(place + 0.02)), measured=np.array(elbow(place))
            )
        except InvalidInput:
            break
        place, sequence = place + 0.02, sequence + 1
    assert place < 1.93
    # A person who starts again accepts where the arm is.
    bench.accept(bench.command(2, 0, positions=elbow(1.99)), measured=np.array(elbow(1.99)))


def test_a12_a_joint_that_came_in_stays_in(bench: Bench) -> None:
    bench.accept(bench.command(1, 0, positions=elbow(1.85)), measured=np.array(elbow(1.90)))
    bench.accept(bench.command(1, 1, positions=elbow(1.6)), measured=np.array(elbow(1.6)))
    assert "it may be -1.6900 to 1.6900" in bench.refuse(
        bench.command(1, 2, positions=elbow(1.8)), measured=np.array(elbow(1.9))
    )


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32) | st.floats(-3.0, 3.0)
names = st.sampled_from([*ROBOT.joint_names, "Rotation", "gripper.pos", ""])
commands = st.builds(
    JointCommand,
    st.one_of(st.permutations(ROBOT.joint_names).map(tuple), st.lists(names, max_size=8).map(tuple)),
    st.lists(numbers, min_size=5, max_size=7).map(tuple),
    st.integers(0, 4),
    st.integers(0, 6),
    st.just(0),
    st.floats(-1.0, 2.0),
)
steps = st.lists(st.one_of(commands, st.sampled_from(["stop", "clear", "wait", "rival"])), max_size=40)


@settings(deadline=None)
@given(steps, st.none() | st.tuples(*[st.floats(-3.0, 3.0)] * 6).map(np.array))
def test_whatever_arrives_only_safe_targets_in_order_get_through(
    history: list[JointCommand | str], measured: FloatArray | None
) -> None:
    """Finite, within limits or no further out than measured, one per joint, (epoch, sequence) strictly upwards, none
    while stopped or with a rival, none of an epoch that an emergency ended."""
    clock = ManualClock()
    gate = CommandGate(ROBOT, RULES, clock)
    limits = ROBOT.limits()
    last, is_stopped, ended, publishers, accepted_at, refused = (-1, -1), False, -1, GUARD, None, 0
    for step in history:
        if isinstance(step, str):
            if step == "stop":
                gate.stop()
                is_stopped, ended = True, max(ended, last[0], 0)
            elif step == "clear":
                gate.clear()
                is_stopped = False
            elif step == "wait":
                clock.advance(0.2)
            else:
                publishers = GUARD ^ publishers or GUARD | {"rival"}
            continue
        command = replace(step, stamp_ns=clock.wall_ns())
        try:
            targets = gate.accept(command, publishers, measured)
        except (InvalidInput, Conflict):
            refused += 1
            continue
        accepted_at = clock.steady_ns()
        assert targets.shape == (6,) and np.isfinite(targets).all()
        lower, upper = limits.lower, limits.upper
        if measured is not None:
            lower, upper = np.minimum(lower, measured), np.maximum(upper, measured)
        assert (targets >= lower - 0.02).all() and (targets <= upper + 0.02).all()
        expected = dict(zip(command.joint_names, command.positions, strict=True))
        assert targets.tolist() == [expected[name] for name in ROBOT.joint_names]
        assert (command.epoch, command.sequence) > last and command.epoch > ended
        assert not is_stopped and len(publishers) < 2 and 0 < command.period_s <= 1
        last = (command.epoch, command.sequence)
    assert gate.refused == refused
    is_fresh = accepted_at is not None and clock.steady_ns() - accepted_at <= 0.25e9
    assert gate.is_holding == (is_stopped or not is_fresh)
