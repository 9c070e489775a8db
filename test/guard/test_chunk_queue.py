# SPDX-License-Identifier: Apache-2.0
"""Which steps of which chunk play when."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.robot import load_robot
from lerobot_arena.guard.chunk_queue import ChunkQueue
from lerobot_arena.guard.joint_space import arm_space

SO101 = load_robot("so101")
SPACE = arm_space(SO101)
PERIOD = 0.02
NS = 1_000_000_000
NOW = 100 * NS


def at(seconds: float) -> int:
    return NOW + round(seconds * NS)


def line(steps: int = 30, dt_s: float = 1 / 30, **values: Any) -> ActionChunk:
    """Step i wants i/100 rad on every joint."""
    actions = np.repeat(np.arange(steps)[:, None] / 100.0, 6, axis=1)
    chunk = ActionChunk(actions, SO101.joint_names, "radians", dt_s, "demo", 7, 1, 1)
    return replace(chunk, **values)


def queue(**values: Any) -> ChunkQueue:
    made = ChunkQueue(
        SPACE, session_id="demo", epoch=7, period_s=PERIOD, action_timeout_s=values.get("timeout_s", 1.0)
    )
    assert made.request(NOW) is not None
    return made


def first(made: ChunkQueue, now_ns: int) -> float:
    action = made.due(now_ns).action
    assert action is not None
    return action[0]


def play(made: ChunkQueue, begin_s: float, end_s: float) -> None:
    for cycle in range(round(begin_s / PERIOD), round(end_s / PERIOD)):
        assert made.due(at(cycle * PERIOD)).action is not None
        made.played(at(cycle * PERIOD), PERIOD)


def test_an_arm_that_held_while_the_policy_thought_begins_at_step_0() -> None:
    made = queue()
    assert made.offer(line(observation_age_s=0.4), at(0))
    assert first(made, at(0)) == pytest.approx(0.0)
    assert made.due(at(0)).age_s == pytest.approx(0.4)


def test_a_late_chunk_drops_what_the_arm_played_meanwhile() -> None:
    made = queue()
    made.offer(line(), at(0))
    play(made, 0.0, 0.3)
    made.offer(line(sequence=2, observation_age_s=0.2), at(0.3))
    assert first(made, at(0.3)) == pytest.approx(0.06)  # 0.2 s = 6 steps


def test_the_drop_is_the_smaller_of_estimated_and_played() -> None:
    made = queue()
    made.offer(line(), at(0))
    play(made, 0.0, 0.1)  # and holds from there on
    made.offer(line(sequence=2, observation_age_s=0.8), at(0.8))
    assert first(made, at(0.8)) == pytest.approx(0.03)  # played since the observation: 0.1 s = 3 steps


@given(age_s=st.floats(0, 0.9), played_s=st.floats(0, 0.9))
def test_the_drop_never_exceeds_either(age_s: float, played_s: float) -> None:
    made = queue()
    made.offer(line(steps=60), at(-1))
    for cycle in range(round(played_s / PERIOD)):
        made.played(at(-cycle * PERIOD), PERIOD)
    made.offer(line(steps=60, sequence=2, observation_age_s=age_s), at(0))
    dropped_s = first(made, at(0)) * 100 / 30
    assert dropped_s <= min(age_s, round(played_s / PERIOD) * PERIOD) + 1e-6


def test_between_steps_is_interpolated_and_the_last_step_lasts_one_dt() -> None:
    made = queue()
    made.offer(line(steps=3, dt_s=0.1), at(0))
    assert [round(first(made, at(t)), 6) for t in (0.0, 0.05, 0.1, 0.13, 0.2, 0.25)] == [
        0.0, 0.005, 0.01, 0.013, 0.02, 0.02,
    ]  # fmt: skip
    assert made.due(at(0.301)).action is None


def test_a_new_chunk_replaces_the_old_one_whole() -> None:
    made = queue()
    made.offer(line(), at(0))
    made.offer(line(sequence=2, actions=np.full((5, 6), 0.5)), at(0.1))
    assert first(made, at(0.1)) == 0.5
    assert made.due(at(0.1 + 6 / 30)).action is None, "nothing of the old chunk is left behind it"


def test_the_columns_are_ordered_by_name() -> None:
    made = queue()
    names = tuple(reversed(SO101.joint_names))
    made.offer(line(joint_names=names, actions=np.arange(6.0)[None, :] / 10), at(0))
    assert made.due(at(0)).action == pytest.approx((0.5, 0.4, 0.3, 0.2, 0.1, 0.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epoch": 6}, "epoch 6"),
        ({"session_id": "other"}, "other"),
        ({"request_sequence": 2}, "nobody made"),
        ({"request_sequence": 0}, "nobody made"),
        ({"sequence": 0}, "came after"),
        ({"joint_names": ("shoulder_pan",) * 6}, "twice"),
        ({"joint_names": (*SO101.joint_names[:5], "tail")}, "tail"),
        ({"joint_names": SO101.joint_names[:5]}, "6 values a step for 5"),
        ({"actions": np.zeros((4, 5)), "joint_names": SO101.joint_names[:5]}, "missing gripper"),
        ({"actions": np.zeros((4, 7)), "joint_names": (*SO101.joint_names, "tail")}, "tail"),
        ({"actions": np.zeros((0, 6))}, "shape"),
        ({"dt_s": 0.0}, "0.001 to 10"),
        ({"dt_s": float("nan")}, "0.001 to 10"),
        ({"observation_age_s": -0.1}, "impossible"),
        ({"observation_age_s": float("nan")}, "impossible"),
        ({"unit": "furlongs"}, "furlongs"),
    ],
)
def test_a_chunk_that_does_not_fit_is_refused_with_the_difference(change: dict[str, Any], words: str) -> None:
    made = queue()
    assert not made.offer(line(**change), at(0))
    assert words in made.refusal and made.refused == 1
    assert made.due(at(0)).action is None


def test_chunks_out_of_order_are_dropped_and_counted() -> None:
    made = queue()
    assert made.offer(line(sequence=5), at(0))
    for sequence in (5, 4):
        assert not made.offer(line(sequence=sequence), at(0.01))
    assert (made.accepted, made.refused) == (1, 2)


def test_nan_is_left_for_the_checks_to_see() -> None:
    made = queue()
    made.offer(line(actions=np.full((3, 6), np.nan), unit="normalized"), at(0))
    action = made.due(at(0)).action
    assert action is not None and all(value != value for value in action)


def test_values_are_converted_from_the_policys_unit() -> None:
    made = queue()
    made.offer(line(actions=np.tile([100.0, -100.0, 0.0, 0.0, 0.0, 100.0], (2, 1)), unit="normalized"), at(0))
    action = made.due(at(0)).action
    assert action == pytest.approx((1.91986, -1.74533, 0.0, 0.0, 0.0, 1.745329), abs=1e-4)


def test_the_next_chunk_is_asked_for_in_time() -> None:
    made = queue()
    made.offer(line(steps=50, execute_steps=10), at(0.1))  # round trip 0.1 s, to be played until 0.1 + 10/30
    asked = next(c for c in range(5, 100) if made.request(at(c * PERIOD)) is not None) * PERIOD
    assert asked == pytest.approx(0.1 + 10 / 30 - 0.1 - 2 * PERIOD, abs=PERIOD)


def test_a_long_chunk_is_replaced_before_its_observation_is_too_old() -> None:
    made = queue(timeout_s=1.0)
    made.offer(line(steps=300, observation_age_s=0.1), at(0.1))
    asked = next(c for c in range(5, 200) if made.request(at(c * PERIOD)) is not None) * PERIOD
    assert asked == pytest.approx(1.0 - 0.1 - 2 * PERIOD, abs=PERIOD)


def test_an_unanswered_request_is_repeated_with_patience_and_asks_for_a_reset_until_a_chunk_came() -> None:
    made = queue()
    asked = [c * PERIOD for c in range(1, 301) if made.request(at(c * PERIOD)) is not None]
    assert asked == pytest.approx([0.5, 1.5, 3.5, 5.5])
    again = made.request(at(7.5))
    assert again is not None and again.reset
    made.offer(line(request_sequence=again.sequence), at(8.0))
    assert made.latency_s == pytest.approx(0.5)
    later = made.request(at(11))
    assert later is not None and not later.reset
    assert made.request(at(11.9)) is None and made.request(at(12.01)) is not None


def test_clear_forgets_the_plan_and_asks_again() -> None:
    made = queue()
    made.offer(line(), at(0))
    assert made.request(at(0.02)) is None
    made.clear()
    assert made.due(at(0.02)).action is None
    assert made.request(at(0.02)) is not None


def test_open_requests_are_bounded() -> None:
    made = queue()
    for second in range(1, 500):
        made.request(at(second))
    assert len(made._open) <= 16


def contradicted(made: ChunkQueue, shift_rad: float, **values: Any) -> float | None:
    """The overlap once a chunk that wants all joints `shift_rad` further than `line` replaced the present one."""
    shifted = line().actions + shift_rad
    assert made.offer(line(sequence=made.accepted + 1, actions=shifted, **values), at(0.3))
    return made.overlap


def test_a_first_chunk_and_one_without_common_future_are_compared_with_nothing() -> None:
    made = queue()
    made.offer(line(steps=10), at(0))
    assert made.overlap is None
    play(made, 0.0, 0.3)
    made.offer(line(sequence=2), at(0.4))
    assert made.overlap is None, "the plan before ended at a third of a second"


def test_a16_a_chunk_that_goes_on_with_the_plan_agrees_and_a_jump_is_told_as_a_share_of_the_ranges() -> None:
    """A16: a chunk whose delay was estimated wrong begins elsewhere than where the old plan is."""
    made = queue()
    made.offer(line(), at(0))
    play(made, 0.0, 0.3)
    # Seen 0.3 s ago and played since: row 9 is now, as in the old plan.
    assert made.offer(line(sequence=2, observation_age_s=0.3), at(0.3))
    assert made.overlap == pytest.approx(0.0, abs=1e-9)
    spans = np.array(SPACE.spans)
    jumped = queue()
    jumped.offer(line(), at(0))
    play(jumped, 0.0, 0.3)
    expected = np.sqrt(np.mean((0.5 / spans) ** 2))
    assert contradicted(jumped, 0.5, observation_age_s=0.3) == pytest.approx(expected)


def test_a_plan_that_the_arm_did_not_follow_is_no_measure() -> None:
    made = queue()
    made.offer(line(), at(0))
    play(made, 0.0, 0.1)  # and holds from there on
    assert contradicted(made, 0.5) is None


def test_a_new_chunk_that_is_not_finite_disagrees_in_no_finite_number() -> None:
    for bad in (np.nan, 1e308, -np.inf):
        made = queue()
        made.offer(line(), at(0))
        play(made, 0.0, 0.3)
        overlap = contradicted(made, bad)
        assert overlap is not None and not overlap < 1e300


@given(age_s=st.floats(0, 0.3), shift=st.floats(-1, 1))
def test_the_disagreement_of_shifted_plans_is_their_shift_whatever_the_delay(
    age_s: float, shift: float
) -> None:
    steady = np.full((30, 6), 0.1)
    made = queue()
    made.offer(line(actions=steady), at(0))
    for cycle in range(15):
        made.played(at(cycle * PERIOD), PERIOD)
    made.offer(line(sequence=2, actions=steady + shift, observation_age_s=age_s), at(0.3))
    expected = abs(shift) * np.sqrt(np.mean(1.0 / np.array(SPACE.spans) ** 2))
    assert made.overlap == pytest.approx(expected, abs=1e-9)
