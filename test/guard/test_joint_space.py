# SPDX-License-Identifier: Apache-2.0
"""Names decide order, units decide limits, and what is unknown is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import load_robot
from lerobot_arena.guard.joint_inbox import JointInbox
from lerobot_arena.guard.joint_space import arm_space, virtual_space
from lerobot_arena.guard.params import GuardParams

SO101 = load_robot("so101")
NAMES = SO101.joint_names
ARM = arm_space(SO101)
NORMALIZED = virtual_space(NAMES, "normalized", robot=SO101, params=GuardParams())


def sample(
    values: Any, names: tuple[str, ...] = NAMES, unit: str = "radians", receipt_ns: int = 5
) -> JointSample:
    return JointSample(names, np.array(values, dtype=float), unit, 0, receipt_ns)


def test_an_arm_is_checked_in_radians_with_the_robot_files_limits() -> None:
    assert ARM.unit == "radians"
    assert ARM.limits.lower == pytest.approx([j.lower_rad for j in SO101.joints])
    assert ARM.limits.max_velocity == pytest.approx([j.max_velocity_rad_s for j in SO101.joints])


def test_a_normalized_virtual_arm_bounds_itself() -> None:
    assert NORMALIZED.limits.lower == (-100.0,) * 5 + (0.0,)
    assert NORMALIZED.limits.upper == (100.0,) * 6
    assert NORMALIZED.limits.max_velocity == (200.0,) * 6


def test_any_joints_may_be_normalized() -> None:
    space = virtual_space(("left", "left_gripper"), "normalized", robot=SO101, params=GuardParams())
    assert space.limits.lower == (-100.0, 0.0)


@pytest.mark.parametrize("unit", ["degrees", "radians"])
def test_other_units_need_the_robot_files_joints(unit: str) -> None:
    space = virtual_space(tuple(reversed(NAMES)), unit, robot=SO101, params=GuardParams())
    assert space.unit == unit and space.joint_names == NAMES
    with pytest.raises(InvalidInput, match="No limits are known"):
        virtual_space(("left", "right"), unit, robot=SO101, params=GuardParams())


@pytest.mark.parametrize(
    ("names", "unit", "words"),
    [
        ((), "normalized", "not known yet"),
        (NAMES, "", "not known yet"),
        (("a", "a"), "normalized", "twice"),
        (NAMES, "turns", "turns"),
    ],
)
def test_a_virtual_arm_without_names_or_unit_has_no_limits(
    names: tuple[str, ...], unit: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        virtual_space(names, unit, robot=SO101, params=GuardParams())


def test_executed_values_go_out_in_the_policys_unit() -> None:
    out = ARM.in_unit(tuple(j.upper_rad for j in SO101.joints), "normalized")
    assert out == pytest.approx((100.0,) * 6)
    assert NORMALIZED.in_unit((1.0,) * 6, "normalized") == (1.0,) * 6


def test_a_policy_with_other_joints_cannot_drive_the_arm() -> None:
    assert ARM.problem_of(tuple(reversed(NAMES)), "normalized") == ""
    assert "tail" in ARM.problem_of((*NAMES[:5], "tail"), "normalized")
    assert "turns" in ARM.problem_of(NAMES, "turns")


@given(order=st.permutations(NAMES))
def test_any_order_of_names_is_the_same_state(order: list[str]) -> None:
    inbox = JointInbox(ARM, is_partial=False)
    values = {name: 0.1 * i for i, name in enumerate(NAMES)}
    assert inbox.accept(sample([values[name] for name in order], tuple(order)))
    assert inbox.latest.values == pytest.approx([values[name] for name in NAMES])


@pytest.mark.parametrize(
    ("values", "names", "unit", "words"),
    [
        ([0.0] * 5, NAMES[:5], "radians", "lacks gripper"),
        ([0.0] * 7, (*NAMES, "tail"), "radians", "tail"),
        ([0.0] * 6, (*NAMES[:5], "tail"), "radians", "tail"),
        ([0.0] * 6, (*NAMES[:5], NAMES[0]), "radians", "twice"),
        ([0.0] * 6, (*NAMES[:5], "Rotation"), "radians", "twice"),
        ([0.0] * 5 + [float("nan")], NAMES, "radians", "finite: gripper"),
        ([float("inf")] + [0.0] * 5, NAMES, "radians", "finite: shoulder_pan"),
        ([0.0] * 6, NAMES, "degrees", "degrees"),
    ],
)
def test_a_bad_joint_state_is_refused_and_the_previous_one_ages(
    values: list[float], names: tuple[str, ...], unit: str, words: str
) -> None:
    inbox = JointInbox(ARM, is_partial=False)
    assert inbox.accept(sample([0.5] * 6, receipt_ns=1_000_000_000))
    assert not inbox.accept(sample(values, names, unit, receipt_ns=9_000_000_000))
    assert inbox.latest.values == (0.5,) * 6
    assert inbox.latest.age_s(9_000_000_000) == 8.0
    assert words in inbox.latest.refusal


def test_partial_states_of_a_client_are_merged_by_name_once_all_are_known() -> None:
    inbox = JointInbox(NORMALIZED, is_partial=True)
    inbox.accept(sample([1.0, 2.0], NAMES[:2], "normalized"))
    assert inbox.latest.values == () and inbox.latest.age_s(10) == -1.0
    inbox.accept(sample([3.0, 4.0, 5.0, 6.0], NAMES[2:], ""))
    inbox.accept(sample([42.0], NAMES[:1], "normalized", receipt_ns=7))
    assert inbox.latest.values == (42.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert inbox.latest.receipt_ns == 7
