# SPDX-License-Identifier: Apache-2.0
"""Faults of inputs, of time and of neighbours, against the whole guard in memory, counted in cycles.

The letters are rows of the project's fault list: A action input, B observation, C time, D processes.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.session import EMERGENCY, ERROR, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.testing.guard_world import GuardWorld, Policy

PERIOD = 0.02
ACTION_TIMEOUT = round(GuardParams().action_timeout_s / PERIOD)
JOINT_TIMEOUT = round(GuardParams().joint_timeout_s / PERIOD)
GRACE = round(GuardParams().hold_grace_s / PERIOD)


def moving(*speeds: float) -> Policy:
    """Joints move at these rad/s."""
    speed = np.zeros(6)
    speed[: len(speeds)] = speeds

    def policy(measured: Any) -> Any:
        return np.array(measured) + np.arange(30)[:, None] / 30 * speed

    return policy


def tampered(change: Callable[[ActionChunk], ActionChunk], **options: Any) -> GuardWorld:
    """A running world whose chunks are changed from now on."""
    world = GuardWorld(policy=moving(0.5, 0.2), **options)
    world.start()
    world.step(20)
    world.edit_chunk = change
    return world


def spoil(row: int | slice, joint: int, value: float) -> Callable[[ActionChunk], ActionChunk]:
    def change(chunk: ActionChunk) -> ActionChunk:
        actions = chunk.actions.copy()
        actions[row, joint] = value
        return replace(chunk, actions=actions)

    return change


def assert_limits_kept(world: GuardWorld) -> None:
    limits = world.arm.knowledge.space.limits  # type: ignore[union-attr]
    before = None
    for command in world.commands:
        for value, low, high in zip(command.positions, limits.lower, limits.upper):
            assert low - 1e-9 <= value <= high + 1e-9
        if before is not None and before.epoch == command.epoch and before.sequence + 1 == command.sequence:
            for value, old, most in zip(command.positions, before.positions, limits.max_velocity):
                assert abs(value - old) <= most * 2 * PERIOD + 1e-9
        before = command


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e308])
def test_a1_a2_a_value_that_is_no_number_rejects_the_whole_action_and_five_latch(value: float) -> None:
    world = tampered(spoil(slice(None), 3, value))
    record = world.step()
    while record.outcome is not Outcome.HELD:
        record = world.step()
    assert record.decision is Decision.REJECT and "wrist_flex" in record.reason
    sent = len(world.commands)
    world.step(5)
    assert world.state == EMERGENCY and "not finite" in world.arm.state().message
    world.step(100)
    assert len(world.commands) == sent


def test_a1_one_bad_action_holds_its_cycles_and_the_run_goes_on() -> None:
    world = tampered(spoil(2, 0, nan))
    world.step(11)
    world.edit_chunk = lambda chunk: chunk
    world.step(60)
    outcomes = [cycle.outcome for cycle in world.ports.cycles]
    assert Outcome.HELD in outcomes[20:] and world.state == RUNNING and outcomes[-1] is Outcome.SENT


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda c: replace(c, actions=c.actions[:, :5], joint_names=c.joint_names[:5]), id="A3-short"
        ),
        pytest.param(lambda c: replace(c, actions=c.actions[:, :5]), id="A3-short-names-whole"),
        pytest.param(
            lambda c: replace(
                c, actions=np.hstack([c.actions, c.actions[:, :1]]), joint_names=(*c.joint_names, "tail")
            ),
            id="A4-long",
        ),
        pytest.param(lambda c: replace(c, actions=c.actions[:0]), id="A5-empty"),
        pytest.param(lambda c: replace(c, joint_names=(*c.joint_names[:5], "tail")), id="A6-misnamed"),
        pytest.param(lambda c: replace(c, joint_names=(*c.joint_names[:5], c.joint_names[0])), id="A6-twice"),
        pytest.param(lambda c: replace(c, epoch=c.epoch - 1), id="A17-old-epoch"),
        pytest.param(lambda c: replace(c, session_id="other"), id="foreign-session"),
        pytest.param(lambda c: replace(c, sequence=1), id="A15-repeated"),
        pytest.param(lambda c: replace(c, observation_age_s=-0.2), id="A14-from-the-future"),
        pytest.param(lambda c: replace(c, observation_age_s=nan), id="A14-age-nan"),
    ],
)
def test_a_chunk_that_does_not_fit_is_never_played(change: Callable[[ActionChunk], ActionChunk]) -> None:
    world = tampered(change)
    good = world.arm.state().chunks_received - world.arm.state().chunks_dropped
    world.step(ACTION_TIMEOUT + 1)
    sent = len(world.commands)
    record = world.step(10)
    assert record.outcome is Outcome.HELD and "refused" in record.reason
    world.step(GRACE + 10)
    state = world.arm.state()
    assert state.state == STOPPED and "refused" in state.message
    assert len(world.commands) == sent
    assert state.chunks_received - state.chunks_dropped <= good + 1 and state.chunks_dropped > 0


def test_a6_a_full_permutation_of_the_names_is_reordered() -> None:
    def backwards(chunk: ActionChunk) -> ActionChunk:
        return replace(chunk, actions=chunk.actions[:, ::-1], joint_names=chunk.joint_names[::-1])

    world = tampered(backwards)
    world.step(50)
    straight = GuardWorld(policy=moving(0.5, 0.2))
    straight.start()
    straight.step(70)
    assert world.commands[-1].positions == pytest.approx(straight.commands[-1].positions, abs=0.03)


def test_a7_degrees_as_radians_are_limited_from_the_first_step_and_then_rejected() -> None:
    world = GuardWorld(policy=lambda m: np.degrees(np.array(m) + 0.7) * np.ones((30, 1)))
    world.arm.start()
    world.step(100)
    assert_limits_kept(world)
    assert world.state == STOPPED and "unit" in world.arm.state().message
    assert max(abs(v) for c in world.commands for v in c.positions) < 0.3


def test_a8_a_huge_step_is_scaled_whole() -> None:
    goal = np.array([1.2, 0.6, 0.0, 0.0, 0.0, 0.0])
    world = GuardWorld(policy=lambda m: np.tile(goal, (30, 1)))
    world.start()
    world.step(80)
    assert_limits_kept(world)
    assert world.commands[-1].positions == pytest.approx(tuple(goal))
    for command in world.commands[:20]:
        pan, lift = command.positions[:2]
        assert lift == pytest.approx(pan / 2), "the arm stays on the policy's path"
    assert any(
        v.check == "velocity" and v.decision is Decision.CLAMP for c in world.ports.cycles for v in c.verdicts
    )


def test_a10_speed_grows_within_the_acceleration() -> None:
    world = GuardWorld(policy=moving(2.9), params=GuardParams(ramp_s=0.0))
    world.start()
    world.step(10)
    positions = [0.0] + [c.positions[0] for c in world.commands]
    speeds = np.diff(positions) / PERIOD
    assert np.max(np.diff(np.concatenate([[0.0], speeds]))) <= 30.0 * PERIOD * 1.001
    assert 2.8 < speeds[-1] < 3.01


def test_a11_a18_a_target_outside_stops_at_the_limit_and_only_that_joint() -> None:
    world = GuardWorld(
        policy=lambda m: (
            np.array(m)
            + np.array([0, 0.01, 0, 0, 0, 0]) * np.arange(30)[:, None]
            + np.array([0, 0, 0, 0, 0, -0.1])
        )
    )
    world.start()
    world.step(150)
    assert_limits_kept(world)
    gripper = [c.positions[5] for c in world.commands]
    assert min(gripper) == pytest.approx(world.robot.joints[5].lower_rad)
    assert world.commands[-1].positions[1] > 0.4, "a gripper held at its stop must not freeze the arm"


def test_a12_from_outside_the_limits_only_inward_and_no_jump() -> None:
    world = GuardWorld(policy=moving(-0.5), measured=[2.1, 0, 0, 0, 0, 0])
    world.start()
    pans = [2.1] + [c.positions[0] for c in world.commands]
    assert all(b <= a for a, b in itertools.pairwise(pans)) and pans[1] > 2.0
    world.step(100)
    assert world.commands[-1].positions[0] < 1.9
    outward = GuardWorld(policy=moving(0.5), measured=[2.1, 0, 0, 0, 0, 0])
    outward.start()
    outward.step(50)
    assert {c.positions[0] for c in outward.commands} == {2.1}


def test_a13_an_action_whose_observation_is_too_old_is_never_executed() -> None:
    world = tampered(lambda chunk: replace(chunk, observation_age_s=1.5))
    world.step(ACTION_TIMEOUT + GRACE + 30)
    assert all(c.action_age_s <= 1.0 for c in world.ports.cycles if c.executed)
    assert world.state == STOPPED and "old" in world.arm.state().message


def test_a16_a_chunk_boundary_that_jumps_is_limited() -> None:
    sides = iter(range(1000))

    def zigzag(measured: Any) -> Any:
        return np.full((30, 6), 0.3 if next(sides) % 2 else -0.3) * np.array([1, 1, 1, 1, 1, 0.3])

    world = GuardWorld(policy=zigzag)
    world.start()
    world.step(200)
    assert_limits_kept(world)


def test_a17_what_was_asked_before_a_stop_is_not_played_after_the_next_start() -> None:
    world = GuardWorld(policy=moving(0.5))
    world.latency_s = 0.3
    world.start()
    old: ChunkRequest = world.ports.requests[-1]
    world.arm.stop()
    world.arm.start()
    sent = len(world.commands)
    world.arm.on_chunk(world.make_chunk(old))
    world.step(2)
    assert len(world.commands) == sent and world.arm.state().chunks_dropped == 1


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


def first_after_restart(world: GuardWorld, moved_by: float) -> float:
    """Stops, lets the first joint be elsewhere than its last command, starts, and returns its first command."""
    world.start()
    world.arm.stop()
    world.measured[0] += moved_by
    world.say_joints()
    world.start()
    return next(c for c in world.commands if c.epoch == world.arm.state().epoch).positions[0]


def test_a_start_begins_where_the_arm_was_pushed_to() -> None:
    world = GuardWorld(policy=lambda measured: np.full((30, 6), 0.8))
    assert first_after_restart(world, 0.8) == pytest.approx(0.8, abs=0.05)


def test_a_start_keeps_the_last_target_of_an_arm_that_sags_a_little() -> None:
    world = GuardWorld(policy=lambda measured: np.zeros((30, 6)))
    assert first_after_restart(world, -0.1) == 0.0


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=6, max_size=6),
        min_size=1,
        max_size=8,
    ),
    unit=st.sampled_from(["radians", "degrees", "normalized"]),
    gaps=st.lists(st.floats(0.0, 0.2), max_size=15),
)
def test_whatever_a_policy_sends_the_commands_are_finite_and_inside(
    rows: list[list[float]], unit: str, gaps: list[float]
) -> None:
    world = GuardWorld(policy=lambda m: np.array(rows, dtype=float), unit=unit)
    assert world.arm.start().success
    world.step(10)
    for gap in gaps:
        world.step(period_s=gap)
    assert_limits_kept(world)
    assert all(np.isfinite(c.positions).all() and len(c.positions) == 6 for c in world.commands)
