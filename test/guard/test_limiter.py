# SPDX-License-Identifier: Apache-2.0
"""The limiters together, for any start and any wish: the promises of a step, over many steps."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.chain import Chain, core_seats, make_check
from lerobot_arena.guard.checks.protocol import Body, CheckInput, JointLimits
from lerobot_arena.guard.limiter import (
    approach_velocity,
    braking_speed,
    scale_step,
    stay_inside,
    velocity_factor,
)
from lerobot_arena.guard.seat import core_seat

DT = 0.02
NEAR = 1e-9
JOINTS = 4
NAMES = tuple(f"j{i}" for i in range(JOINTS))
LIMITS = JointLimits(
    (-1.0, -2.0, -0.2, 0.0), (1.0, 1.5, 1.7, 100.0), (3.0, 2.0, 4.0, 200.0), (30.0, 9.0, 40.0, 2000.0)
)
BODY = Body(NAMES, "radians", LIMITS, period_s=DT)
RISE_S = 0.1
wish = st.floats(-300, 300, allow_nan=False)
wishes = st.tuples(*[wish] * JOINTS)


def limiters(*, is_soft: bool = False) -> Chain:
    """The core checks, and jerk when the arm is to start softly."""
    seats = core_seats(BODY, {"unit_suspicion": {"spans": 1e6}})
    if is_soft:
        seats.append(core_seat(make_check("jerk", {"rise_time_s": RISE_S}, BODY)))
    return Chain(seats, budget_ms=1e6)


@dataclass
class Arm:
    """The limiter's memory between two steps."""

    command: tuple[float, ...]
    velocity: tuple[float, ...] = (0.0,) * JOINTS
    acceleration: tuple[float, ...] = (0.0,) * JOINTS
    is_soft: bool = False

    def given(self, wanted: tuple[float, ...]) -> CheckInput:
        return CheckInput(
            NAMES,
            "radians",
            LIMITS,
            DT,
            self.command,
            0.0,
            self.command,
            self.velocity,
            wanted,
            NAMES,
            previous_acceleration=self.acceleration,
        )

    def follow(self, wanted: tuple[float, ...]) -> tuple[float, ...]:
        result = limiters(is_soft=self.is_soft).evaluate(self.given(wanted))
        assert result.action is not None, result.deciding.reason
        before, slower = self.command, self.velocity
        self.command = result.action
        self.velocity = tuple((b - a) / DT for a, b in zip(before, self.command))
        self.acceleration = tuple((b - a) / DT for a, b in zip(slower, self.velocity))
        return self.command


def anywhere_inside() -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*(st.floats(low, high) for low, high in zip(LIMITS.lower, LIMITS.upper)))


@given(start=anywhere_inside(), path=st.lists(wishes, min_size=1, max_size=25), is_soft=st.booleans())
def test_no_step_breaks_a_limit(
    start: tuple[float, ...], path: list[tuple[float, ...]], is_soft: bool
) -> None:
    arm = Arm(start, is_soft=is_soft)
    for wanted in path:
        before, speed = arm.command, arm.velocity
        after = arm.follow(wanted)
        for joint in range(JOINTS):
            step = (after[joint] - before[joint]) / DT
            assert LIMITS.lower[joint] - NEAR <= after[joint] <= LIMITS.upper[joint] + NEAR
            assert abs(step) <= LIMITS.max_velocity[joint] * (1 + NEAR)
            if abs(step) > abs(speed[joint]) or step * speed[joint] < 0:
                gain = LIMITS.max_acceleration[joint] * DT
                assert abs(step - speed[joint]) <= max(gain, abs(speed[joint])) * (1 + 1e-6) + 1e-7


@given(start=anywhere_inside(), path=st.lists(wishes, min_size=1, max_size=10), is_soft=st.booleans())
def test_the_guard_leaves_its_own_output_alone(
    start: tuple[float, ...], path: list[tuple[float, ...]], is_soft: bool
) -> None:
    arm = Arm(start, is_soft=is_soft)
    for wanted in path:
        memory = Arm(arm.command, arm.velocity, arm.acceleration)
        once = arm.follow(wanted)
        again = limiters(is_soft=is_soft).evaluate(memory.given(once))
        assert again.action == once
        assert again.deciding.decision is Decision.PASS


@given(
    start=st.tuples(*(st.floats(low - 5, high + 5) for low, high in zip(LIMITS.lower, LIMITS.upper))),
    wanted=wishes,
)
def test_from_outside_a_joint_never_goes_further_out_and_is_not_pulled_in(
    start: tuple[float, ...], wanted: tuple[float, ...]
) -> None:
    arm = Arm(start)
    after = arm.follow(wanted)
    for joint, (low, high) in enumerate(zip(LIMITS.lower, LIMITS.upper)):
        assert min(low, start[joint]) - NEAR <= after[joint] <= max(high, start[joint]) + NEAR
        assert abs(after[joint] - start[joint]) <= abs(wanted[joint] - start[joint]) + NEAR


@pytest.mark.parametrize(("start", "wanted"), [(1.4, 0.5), (-1.3, 0.0)])
def test_from_outside_a_joint_may_come_back(start: float, wanted: float) -> None:
    arm = Arm((start, 0.0, 0.0, 0.0))
    for _ in range(400):
        arm.follow((wanted, 0.0, 0.0, 0.0))
    assert arm.command[0] == pytest.approx(wanted)


@given(start=anywhere_inside(), wanted=wishes)
def test_a_step_too_fast_keeps_its_direction(start: tuple[float, ...], wanted: tuple[float, ...]) -> None:
    factor = velocity_factor(start, wanted, max_velocity=LIMITS.max_velocity, dt_s=DT)
    taken = scale_step(start, wanted, factor)
    for joint in range(JOINTS):
        assert taken[joint] - start[joint] == pytest.approx(factor * (wanted[joint] - start[joint]), abs=1e-9)
    assert 0.0 < factor <= 1.0
    fastest = max(abs(b - a) / limit for a, b, limit in zip(start, taken, LIMITS.max_velocity))
    assert fastest <= DT * (1 + NEAR)
    assert factor == 1.0 or fastest == pytest.approx(DT)


@given(start=anywhere_inside(), path=st.lists(wishes, min_size=1, max_size=25))
def test_a_soft_arm_speeds_up_no_faster_than_its_acceleration_may_grow(
    start: tuple[float, ...], path: list[tuple[float, ...]]
) -> None:
    arm = Arm(start, is_soft=True)
    for wanted in path:
        speed, gain = arm.velocity, arm.acceleration
        arm.follow(wanted)
        for joint in range(JOINTS):
            now = arm.velocity[joint]
            if abs(now) <= abs(speed[joint]) or now * speed[joint] < 0:
                continue  # braking and turning round are free
            way = 1.0 if now > 0 else -1.0
            most = max(0.0, way * gain[joint]) + LIMITS.max_acceleration[joint] / RISE_S * DT
            assert abs(now - speed[joint]) / DT <= most * (1 + 1e-6) + 1e-5


def test_a_soft_arm_takes_its_rise_time_to_its_full_acceleration_and_stops_at_once() -> None:
    arm = Arm((0.0,) * JOINTS, is_soft=True)
    gains = []
    for _ in range(7):
        before = arm.velocity[0]
        arm.follow((9.0, 0.0, 0.0, 0.0))
        gains.append((arm.velocity[0] - before) / DT)
    full = LIMITS.max_acceleration[0]
    assert gains[:5] == pytest.approx([full * DT / RISE_S * cycle for cycle in range(1, 6)])
    assert max(gains) <= full * (1 + NEAR)
    here = arm.command
    assert arm.follow(here) == here


@given(speed=st.floats(-3, 3), others=st.floats(-3, 3), share=st.floats(0, 1))
def test_braking_is_never_limited(speed: float, others: float, share: float) -> None:
    """Whatever another joint is forbidden, a joint that slows down slows down at once."""
    start = (0.0, 0.0)
    wanted = (share * speed * DT, others * DT)
    taken = approach_velocity(
        start, wanted, previous_velocity=(speed, 0.0), max_acceleration=(1e-3, 1e-3), dt_s=DT
    )
    assert taken[0] == pytest.approx(wanted[0], abs=1e-12)


@given(speed=st.floats(0.1, 3), others=st.floats(-3, 3))
def test_a_joint_that_turns_round_is_at_rest_at_least(speed: float, others: float) -> None:
    taken = approach_velocity(
        (0.0, 0.0),
        (-speed * DT, others * DT),
        previous_velocity=(speed, 0.0),
        max_acceleration=(1e-3, 1e-3),
        dt_s=DT,
    )
    assert -speed * DT <= taken[0] <= 0.0


def test_speeding_up_moves_towards_the_wanted_velocity_by_one_factor() -> None:
    taken = approach_velocity(
        (0.0, 0.0), (0.02, 0.01), previous_velocity=(0.5, 0.0), max_acceleration=(10.0, 100.0), dt_s=DT
    )
    # joint 0 may gain 0.2 of the 0.5 it lacks; joint 1 then gains the same share of its 0.5
    assert taken == pytest.approx((0.7 * DT, 0.2 * DT))


@given(room=st.floats(0, 4), acceleration=st.floats(1, 100))
def test_from_braking_speed_a_joint_stops_within_its_room(room: float, acceleration: float) -> None:
    speed = braking_speed(room, acceleration, DT)
    gone, slack = 0.0, acceleration * DT * DT / 8
    while speed > 0:
        gone += speed * DT
        speed -= acceleration * DT
    assert gone <= 2 * room + NEAR if room < acceleration * DT * DT else gone <= room + slack + NEAR


def test_a_joint_reaches_its_limit_and_rests_there() -> None:
    arm = Arm((0.9, 0.0, 0.0, 0.0))
    speeds = []
    for _ in range(100):
        arm.follow((5.0, 0.0, 0.0, 0.0))
        speeds.append(arm.velocity[0])
    assert arm.command[0] == LIMITS.upper[0]
    drops = [a - b for a, b in itertools.pairwise(speeds)]
    assert max(drops) <= LIMITS.max_acceleration[0] * DT * 1.5, "it should brake, not hit the stop"


def test_a_gripper_held_at_its_stop_does_not_slow_the_arm() -> None:
    held, free = Arm((0.0, 0.0, 0.0, 0.0)), Arm((0.0, 0.0, 0.0, 0.0))
    for cycle in range(1, 40):
        target = 0.01 * cycle
        assert held.follow((target, target, 0.0, -30.0))[:2] == free.follow((target, target, 0.0, 0.0))[:2]
    assert held.command[0] == pytest.approx(0.39, abs=0.02)


@settings(max_examples=30)
@given(wanted=wishes)
def test_an_unlimited_wish_passes_as_the_same_object(wanted: tuple[float, ...]) -> None:
    wide = (1e9,) * JOINTS
    down = (-1e9,) * JOINTS
    start = (0.0,) * JOINTS
    assert (
        stay_inside(
            start,
            wanted,
            lower=down,
            upper=wide,
            max_velocity=wide,
            max_acceleration=(1e12,) * JOINTS,
            dt_s=DT,
        )
        is wanted
    )
    assert velocity_factor(start, wanted, max_velocity=wide, dt_s=DT) == 1.0
    assert approach_velocity(start, wanted, previous_velocity=start, max_acceleration=wide, dt_s=DT) is wanted
