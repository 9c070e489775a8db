# SPDX-License-Identifier: Apache-2.0
"""Checks that follow joints over time: each fault they own, and its border.

Ids of parametrized cases and names of tests begin with the row of the fault list that they are (A16, B4, H1 …).
"""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.reaction import STOP
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import Finding
from lerobot_arena.testing.sensor_examples import (
    BODY,
    GOOD,
    HERE,
    LIMITS,
    Run,
    make,
)


def test_b8_a_jump_is_a_fault_in_its_cycle_and_stops_the_run() -> None:
    run = Run("teleport")
    run.cycles(0.2)
    finding = run.cycle(measured=(0.9, 0.2, 0.3))
    assert finding.decision is Decision.FAULT and "pan was measured at 0.1 and now at 0.9" in finding.reason
    assert run.check.reaction == STOP
    assert run.cycle() == Finding(), "the new place is where it is from now on"


def test_b8_a_jump_back_is_one_too_and_a_state_that_is_as_fresh_as_can_be_is_judged() -> None:
    run = Run("teleport")
    run.cycle(joint_age_s=0.0)
    assert run.cycle(measured=(-0.9, 0.2, 0.3)).decision is Decision.FAULT


def test_b8_a_measurement_that_is_no_number_is_a_fault() -> None:
    run = Run("teleport")
    run.cycle()
    assert run.cycle(measured=(nan, 0.2, 0.3)).decision is Decision.FAULT


def test_b8_an_arm_at_full_speed_with_late_joint_states_is_no_teleport() -> None:
    """0.2 s of silence, in which it moved on at its limit; and joint states that come in pairs."""
    run = Run("teleport")
    run.cycle()
    assert run.cycle(0.2, measured=(0.1 + 3.0 * 0.2, 0.2, 0.3)) == Finding()
    position = run.now.measured[0]
    for index in range(20):
        position += 0.0 if index % 2 else 0.04 * 3.0
        assert run.cycle(measured=(position, 0.2, 0.3)) == Finding()


@given(st.lists(st.tuples(st.floats(0.005, 0.3), st.floats(-1.0, 1.0)), max_size=40))
def test_b8_no_movement_within_the_velocity_limits_is_a_teleport(steps: list[tuple[float, float]]) -> None:
    run = Run("teleport")
    place = HERE
    for time_s, share in steps:
        place = tuple(value + share * limit * time_s for value, limit in zip(place, LIMITS.max_velocity))
        assert run.cycle(time_s, measured=place, joint_age_s=0.0) == Finding()


def test_b8_nothing_runs_so_the_arm_may_be_anywhere_next() -> None:
    check = make("teleport")
    for index, place in enumerate((HERE, (2.0, 1.0, 0.0), HERE)):
        assert check.examine(replace(GOOD, run_s=0.0, now_s=100 + 0.02 * index, measured=place)) == Finding()
    # And a start finds it where it is.
    assert check.examine(replace(GOOD, run_s=0.02, now_s=100.08)) == Finding()


def test_h2_b4_an_arm_that_is_blocked_is_a_fault_after_the_window_and_holds_where_it_is() -> None:
    run = Run("following_error")
    run.cycles(0.2)
    blocked = {"previous_command": (0.4, 0.2, 0.3)}
    assert run.until_objection(2.0, **blocked) == pytest.approx(0.52)
    finding = run.cycle()
    assert finding.decision is Decision.FAULT and finding.hold_at_measured and "pan" in finding.reason
    assert run.check.reaction == STOP, "holding alone would go on to push again"


def test_h2_the_lag_that_is_allowed_grows_with_the_speed_in_either_direction() -> None:
    """0.5 rad behind at 3 rad/s is lag; at rest it is an obstacle."""
    for sign in (1.0, -1.0):
        behind = {"previous_command": (0.1 + sign * 0.5, 0.2, 0.3)}
        moving = Run("following_error")
        assert moving.until_objection(2.0, **behind, previous_velocity=(sign * 3.0, 0.0, 0.0)) == inf
        assert Run("following_error").until_objection(2.0, **behind) < 1.0


def test_b4_a_command_in_either_direction_shows_a_frozen_sensor() -> None:
    for sign in (1.0, -1.0):
        run = Run("frozen_sensor")
        run.cycles(0.1)
        assert run.until_objection(2.0, previous_command=(0.1 + sign * 0.5, 0.2, 0.3)) < 1.2


def test_h2_an_error_that_grows_or_swings_is_not_being_worked_off() -> None:
    for path in ((0.4, 0.6, 0.8), (0.4, 0.41, 0.39)):
        run = Run("following_error")
        run.cycles(0.2)
        found = [
            run.cycle(previous_command=(path[index * 3 // 40], 0.2, 0.3)).decision for index in range(40)
        ]
        assert Decision.FAULT in found


def test_h2_servo_lag_at_full_speed_and_catching_up_pass() -> None:
    """100 ms behind a command at 3 rad/s, then at rest; a first-order servo."""
    run = Run("following_error")
    command = measured = -1.9
    for index in range(120):
        speed = 3.0 if index < 60 else 0.0
        command += speed * 0.02
        measured += (command - measured) * 0.02 / 0.1
        assert (
            run.cycle(
                previous_command=(command, 0.2, 0.3),
                previous_velocity=(speed, 0.0, 0.0),
                measured=(measured, 0.2, 0.3),
            )
            == Finding()
        )


def test_h2_a_gripper_that_squeezes_is_excused_by_its_name_and_may_be_watched() -> None:
    squeezing = {"previous_command": (0.1, 0.2, -0.1), "measured": (0.1, 0.2, 0.9)}
    assert Run("following_error").until_objection(3.0, **squeezing) == inf
    assert Run("following_error", exclude=[]).until_objection(3.0, **squeezing) < 1.0
    left = replace(BODY, joint_names=("pan", "lift", "left_gripper"))
    assert Run("following_error", left).until_objection(3.0, **squeezing) == inf


def test_h2_limits_per_joint_and_in_another_unit() -> None:
    off = {"previous_command": (0.2, 0.4, 0.3)}
    assert Run("following_error").until_objection(2.0, **off) == inf
    run = Run("following_error", limits=[0.2, 0.1, 0.1])
    assert run.until_objection(2.0, **off) < 1.0 and "lift" in run.cycle().reason
    percent = replace(BODY, unit="normalized")
    with pytest.raises(InvalidInput, match="give limits"):
        make("following_error", percent)
    make("following_error", percent, limits=[10.0, 10.0, 10.0])


@pytest.mark.parametrize("name", ["following_error", "frozen_sensor"])
def test_while_nothing_runs_an_old_command_says_nothing(name: str) -> None:
    check = make(name)
    for index in range(200):
        command = (0.1 + 0.005 * index, 0.2, 0.3)
        now = replace(GOOD, run_s=0.0, now_s=100.0 + 0.02 * index, previous_command=command)
        assert check.examine(now) == Finding()
    # And a start begins its own window.
    assert check.examine(replace(now, run_s=0.02, now_s=now.now_s + 0.02)) == Finding()


@pytest.mark.parametrize("name", ["following_error", "frozen_sensor"])
def test_a_pause_in_the_cycles_starts_the_window_again(name: str) -> None:
    run = Run(name)
    run.cycles(0.1)
    off = {"previous_command": (0.5, 0.2, 0.3)}
    run.cycles(0.3, **off)
    assert run.cycle(5.0, **off) == Finding()
    assert run.until_objection(0.2) == inf


def test_b4_joints_that_say_the_same_while_the_arm_is_sent_on_are_frozen() -> None:
    run = Run("frozen_sensor")
    run.cycles(0.1)
    found = [run.cycle(previous_command=(0.1 + 0.002 * index, 0.2, 0.3)) for index in range(60)]
    first = next(i for i, finding in enumerate(found) if finding.decision > Decision.PASS)
    assert found[first].decision is Decision.FAULT and "pan was sent" in found[first].reason
    assert 0.85 < first * 0.02 < 1.05
    assert run.cycle(measured=(0.100001, 0.2, 0.3)) == Finding(), "one bit of life ends it"


def test_b4_an_arm_at_rest_or_a_gripper_on_an_object_is_not_frozen() -> None:
    assert Run("frozen_sensor").until_objection(5.0) == inf
    closing = Run("frozen_sensor")
    for index in range(200):
        assert closing.cycle(previous_command=(0.1, 0.2, 0.3 - 0.001 * index)) == Finding()
