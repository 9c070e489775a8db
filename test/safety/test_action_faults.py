# SPDX-License-Identifier: Apache-2.0
"""Faults of what a policy sends, against the whole guard in memory, counted in cycles.

The letters are rows of the project's fault list. `arena guard verify` tries them all; here are their borders.
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
from lerobot_arena.core.session import EMERGENCY, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.testing.guard_scenes import (
    ACTION_TIMEOUT,
    GRACE,
    PERIOD,
    assert_limits_kept,
    moving,
    spoil,
    tampered,
)
from lerobot_arena.testing.guard_world import GuardWorld


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
