# SPDX-License-Identifier: Apache-2.0
"""Joints by name, never by position; units mapped by the robot; nothing unusable gets in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.inference.joints import JointIntake
from lerobot_arena.testing.inference_rig import joints
from lerobot_arena.testing.policy_folders import JOINTS

VALUES = [1.0, -2.0, 3.0, -4.0, 5.0, 60.0]
finite = st.floats(-100, 100, allow_nan=False)


def test_nothing_comes_out_before_every_joint_was_named() -> None:
    intake = JointIntake(JOINTS, "normalized")
    assert intake.take(joints(VALUES[:5], JOINTS[:5])) is None
    assert intake.missing == ("gripper",)
    state = intake.take(joints([60.0], ("gripper",)))
    assert state is not None
    assert state.values.tolist() == VALUES


@given(st.permutations(range(6)), st.lists(st.tuples(st.integers(0, 5), finite), max_size=20))
def test_merging_by_name_equals_a_dict(order: list[int], updates: list[tuple[int, float]]) -> None:
    intake = JointIntake(JOINTS, "normalized")
    wanted = dict(zip(JOINTS, VALUES, strict=True))
    state = intake.take(joints([VALUES[i] for i in order], tuple(JOINTS[i] for i in order)))
    for index, value in updates:
        wanted[JOINTS[index]] = value
        state = intake.take(joints([value], (JOINTS[index],)))
    assert state is not None
    assert state.names == JOINTS
    assert state.values.tolist() == list(wanted.values())


def test_lerobot_suffix_is_understood() -> None:
    intake = JointIntake(JOINTS, "normalized")
    assert intake.take(joints(VALUES, tuple(f"{name}.pos" for name in JOINTS))) is not None


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([1.0], ("elbow",), "none of the policy's"),
        ([1.0, 2.0], ("gripper", "gripper"), "twice"),
        ([float("nan")], ("gripper",), "nan"),
        ([float("inf")], ("gripper",), "inf"),
    ],
)
def test_an_unusable_message_changes_nothing(
    values: list[float], names: tuple[str, ...], message: str
) -> None:
    intake = JointIntake(JOINTS, "normalized")
    intake.take(joints(VALUES))
    with pytest.raises(InvalidInput, match=message):
        intake.take(joints([0.5, *values], ("shoulder_pan", *names)))
    state = intake.take(joints([7.0], ("wrist_flex",)))
    assert state is not None
    assert state.values.tolist() == [1.0, -2.0, 3.0, 7.0, 5.0, 60.0]


def test_a_whole_robots_other_joints_are_passed_over() -> None:
    intake = JointIntake(JOINTS, "normalized", may_have_others=True)
    state = intake.take(joints([*VALUES, 9.0], (*JOINTS, "base_wheel")))
    assert state is not None
    assert state.values.tolist() == VALUES


def test_radians_become_the_policys_unit_in_the_policys_order() -> None:
    robot = load_robot("so101")
    order = tuple(reversed(JOINTS))
    intake = JointIntake(order, "normalized", robot=robot)
    radians = np.array([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])
    state = intake.take(joints(radians.tolist(), JOINTS, "radians"))
    assert state is not None
    assert np.allclose(state.values, robot.from_radians(radians, "normalized")[::-1])


def test_another_unit_without_a_robot_is_refused() -> None:
    intake = JointIntake(JOINTS, "normalized")
    with pytest.raises(InvalidInput, match="'radians', but the session's unit is 'normalized'"):
        intake.take(joints(VALUES, JOINTS, "radians"))
