# SPDX-License-Identifier: Apache-2.0
"""Faults of observations, of time and of neighbours, against the whole guard in memory, counted in cycles.

The letters are rows of the project's fault list. `arena guard verify` tries them all; here are their borders.
"""

from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.session import EMERGENCY, ERROR, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.testing.guard_scenes import (
    ACTION_TIMEOUT,
    GRACE,
    JOINT_TIMEOUT,
    PERIOD,
    assert_limits_kept,
    moving,
)
from lerobot_arena.testing.guard_world import GuardWorld


def first_after_restart(world: GuardWorld, moved_by: float) -> float:
    """Stops, lets the first joint be elsewhere than its last command, starts, and returns its first command."""
    world.start()
    world.arm.stop()
    world.measured[0] += moved_by
    world.say_joints()
    world.start()
    return next(c for c in world.commands if c.epoch == world.arm.state().epoch).positions[0]


def test_b1_without_a_joint_state_nothing_starts() -> None:
    world = GuardWorld(are_joints_alive=False)
    answer = world.arm.start()
    assert not answer.success and "No joint state has come yet" in answer.message


def test_b2_one_joint_message_then_silence_holds_within_the_timeout_and_latches() -> None:
    world = GuardWorld(policy=moving(0.2))
    world.start()
    world.are_joints_alive = False
    world.say_joints()
    sent = len(world.commands)
    record = world.step(JOINT_TIMEOUT + 1)
    assert len(world.commands) - sent <= JOINT_TIMEOUT + 1
    held_from = len(world.commands)
    record = world.step()
    assert record.decision is Decision.FAULT and "joint state" in record.reason
    world.step(GRACE + 5)
    assert len(world.commands) == held_from
    assert world.state == EMERGENCY and "joint state" in world.arm.state().message


def test_after_a_hold_the_arm_sets_off_from_standstill() -> None:
    world = GuardWorld(policy=moving(2.0))
    world.start()
    world.step(10)
    world.are_joints_alive = False
    world.step(JOINT_TIMEOUT + 5)
    world.are_joints_alive = True
    held_at = world.commands[-1].positions[0]
    sent = len(world.commands)
    world.step()
    assert len(world.commands) == sent + 1
    assert abs(world.commands[-1].positions[0] - held_at) <= 30.0 * PERIOD * PERIOD + 1e-9


def test_b2_a_short_silence_of_the_joints_heals_by_itself_without_a_jump() -> None:
    world = GuardWorld(policy=moving(0.5))
    world.start()
    world.are_joints_alive = False
    world.step(JOINT_TIMEOUT + 10)
    world.are_joints_alive = True
    mark = world.commands[-1].positions
    world.step(2)
    assert world.state == RUNNING
    assert abs(world.commands[-1].positions[0] - mark[0]) < 3.0 * PERIOD * 2
    assert_limits_kept(world)


@pytest.mark.parametrize(
    ("values", "names"),
    [([nan] * 6, None), ([0.0] * 5, 5), ([0.0] * 6, "renamed")],
)
def test_b3_bad_joint_states_do_not_count_as_fresh(values: list[float], names: Any) -> None:
    world = GuardWorld(policy=moving(0.2))
    world.start()
    world.are_joints_alive = False
    known = world.robot.joint_names
    said = known[:5] if names == 5 else (*known[:5], "tail") if names == "renamed" else known
    for _ in range(JOINT_TIMEOUT + 2):
        world.say_joints(values, said)
        record = world.step()
    assert record.outcome is Outcome.HELD and "refused" in record.reason


def test_what_arrives_after_a_cycle_took_its_time_is_fresh() -> None:
    """Messages come from another thread: a joint state or a chunk may be younger than the cycle that uses it."""
    world = GuardWorld(policy=moving(0.2))
    world.start()
    for _ in range(30):
        now_ns = world.clock.now_ns + 20_000_000
        world.clock.now_ns = now_ns + 3_000_000
        world.say_joints()
        world.report()
        world.arm.on_chunk(world.make_chunk(world.ports.requests[-1]))
        world.arm.tick(Tick(now_ns))
        world.clock.now_ns = now_ns
        assert world.ports.cycles[-1].decision is Decision.PASS, world.ports.cycles[-1].reason
        assert world.ports.cycles[-1].outcome is Outcome.SENT


def test_c1_the_wall_clock_means_nothing() -> None:
    world = GuardWorld(policy=moving(0.2))
    world.start()
    for shift_s in (3600, -7200):
        world.clock.wall_offset_ns += shift_s * 1_000_000_000
        sent = len(world.commands)
        world.step(50)
        assert len(world.commands) == sent + 50 and world.state == RUNNING


@pytest.mark.parametrize("gap_s", [0.0, 1e-9, 0.05, 10.0])
def test_c4_no_gap_between_ticks_allows_a_larger_step(gap_s: float) -> None:
    world = GuardWorld(
        policy=lambda m: np.full((300, 6), 1.0), params=GuardParams(action_timeout_s=30.0, hold_grace_s=30.0)
    )
    world.start()
    world.step(5)
    before = np.array(world.measured)
    world.step(period_s=gap_s)
    step = np.abs(np.array(world.commands[-1].positions) - before)
    most = np.array([j.max_velocity_rad_s for j in world.robot.joints])
    assert (step <= most * 2 * PERIOD + 1e-9).all()


def test_c5_three_late_cycles_in_a_row_hold_until_the_loop_keeps_its_time_again() -> None:
    world = GuardWorld(policy=moving(0.1))
    world.start()
    world.step(2, period_s=0.05)
    assert world.ports.cycles[-1].outcome is not Outcome.HELD
    record = world.step(period_s=0.05)
    assert record.outcome is Outcome.HELD and record.decision is Decision.FAULT and record.late
    assert world.arm.state().late_cycles == 3
    assert world.step().outcome is not Outcome.HELD


def test_d1_d2_silent_inference_holds_within_the_action_timeout_and_stops_with_the_reason() -> None:
    world = GuardWorld(policy=moving(0.2))
    world.latency_s = 0.1
    world.start()
    world.step(20)
    world.is_inference_alive = False
    sent = len(world.commands)
    world.step(ACTION_TIMEOUT + 1)
    held_from = len(world.commands)
    assert held_from - sent <= ACTION_TIMEOUT
    world.step(GRACE + 5)
    assert len(world.commands) == held_from
    state = world.arm.state()
    assert state.state == STOPPED and "Inference gave no action chunk" in state.message
    world.is_inference_alive = True
    world.step(100)
    assert len(world.commands) == held_from, "only an explicit start moves again"
    world.start()
    first = next(c for c in world.commands if c.epoch == world.arm.state().epoch)
    assert abs(first.positions[0] - world.commands[held_from - 1].positions[0]) <= 3.0 * PERIOD


def test_d1_a_first_chunk_that_never_comes_stops_the_start() -> None:
    world = GuardWorld()
    world.is_inference_alive = False
    world.arm.start()
    for _ in range(490):
        world.report()
        world.step()
    assert world.state == RUNNING and world.ports.cycles[-1].decision is Decision.PASS
    for _ in range(20):
        world.report()
        world.step()
    assert world.state == STOPPED and not world.commands


def test_d1_inferences_own_words_are_passed_on() -> None:
    world = GuardWorld(policy=moving(0.1))
    world.start()
    world.edit_chunk = lambda chunk: replace(chunk, epoch=0)
    world.ports.requests.clear()
    world._answered = 10**6  # inference goes on reporting and answers nothing
    world.change_status(misses=3, miss_reason="camera front is 2.0 s old")
    world.step(ACTION_TIMEOUT + GRACE + 20)
    assert "camera front is 2.0 s old" in world.arm.state().message


def test_d3_a_policy_that_fails_stops_with_its_message_at_once() -> None:
    world = GuardWorld(policy=moving(0.1))
    world.start()
    sent = len(world.commands)
    world.change_status(status=ERROR, error_message="ValueError in layer 3", errors=1)
    world.step(10)
    assert len(world.commands) == sent
    assert world.state == STOPPED and "ValueError in layer 3" in world.arm.state().message


def test_d3_a_restarted_inference_process_stops() -> None:
    world = GuardWorld(policy=moving(0.1))
    world.start()
    world.inference_boot_id = "inference-2"
    sent = len(world.commands)
    world.step()
    world.step(10)
    assert len(world.commands) <= sent + 1
    assert world.state == STOPPED and "restarted" in world.arm.state().message


def test_d5_after_a_stall_of_the_whole_process_nothing_is_made_up_for() -> None:
    world = GuardWorld(policy=moving(1.0))
    world.start()
    world.step(20)
    sent = len(world.commands)
    last = world.commands[-1].positions[0]
    record = world.step(period_s=3.0)
    assert record.outcome is Outcome.HELD, "the queue and its observation are too old now"
    world.step(20)
    assert len(world.commands) <= sent + 20
    after = world.commands[sent].positions[0]
    assert abs(after - last) <= 3.0 * PERIOD * 2


def test_d12_a_flood_of_chunks_changes_neither_rate_nor_memory() -> None:
    world = GuardWorld(policy=moving(0.2))
    world.start()
    request = world.ports.requests[-1]
    for _ in range(50):
        sent = len(world.commands)
        for _ in range(200):
            world.arm.on_chunk(world.make_chunk(request))
        world.step()
        assert len(world.commands) == sent + 1
    assert_limits_kept(world)


def test_d13_a_second_publisher_holds_and_then_stops_the_run() -> None:
    world = GuardWorld(policy=moving(0.1))
    world.start()
    world.arm.on_publishers(("/evil/node",))
    sent = len(world.commands)
    record = world.step()
    assert record.decision is Decision.FAULT and "/evil/node" in record.reason
    world.step(GRACE + 5)
    assert len(world.commands) == sent and world.state == STOPPED


def test_a_start_begins_where_the_arm_was_pushed_to() -> None:
    world = GuardWorld(policy=lambda measured: np.full((30, 6), 0.8))
    assert first_after_restart(world, 0.8) == pytest.approx(0.8, abs=0.05)


def test_a_start_keeps_the_last_target_of_an_arm_that_sags_a_little() -> None:
    world = GuardWorld(policy=lambda measured: np.zeros((30, 6)))
    assert first_after_restart(world, -0.1) == 0.0
