# SPDX-License-Identifier: Apache-2.0
import copy
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot, robot_from_mapping
from lerobot_arena.core.units import UNITS, JointScale

SO101 = load_robot("so101")
FILE = yaml.safe_load((Path(__file__).parents[2] / "lerobot_arena/robots/so101.yaml").read_text())


@given(st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6), st.sampled_from(UNITS))
def test_radians_survive_every_unit(values: list[float], unit: str) -> None:
    there = SO101.from_radians(np.array(values), unit)
    assert np.allclose(SO101.to_radians(there, unit), values)


def test_normalized_ends_are_the_calibrated_ends() -> None:
    limits = SO101.limits("normalized")
    assert np.allclose(limits.lower, [-100, -100, -100, -100, -100, 0])
    assert np.allclose(limits.upper, 100)


def test_degrees_are_degrees_and_the_gripper_stays_a_percentage() -> None:
    values = SO101.from_radians(np.array([math.pi / 2, 0, 0, 0, 0, SO101.joints[5].upper_rad]), "degrees")
    assert values[0] == pytest.approx(90) and values[5] == pytest.approx(100)


def test_a_reversed_joint_counts_degrees_backwards() -> None:
    scale, _ = JointScale(1.0, -1.0).affine("degrees")
    assert scale == pytest.approx(-math.pi / 180)


def test_names_decide_order_and_aliases_are_known() -> None:
    names = ["Jaw", "wrist_roll.pos", "Wrist_Pitch", "elbow_flex", "Pitch", "base_rotation"]
    assert SO101.order(names, "The test") == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "names",
    [["shoulder_pan"], [*SO101.joint_names, "seventh"], [*SO101.joint_names[:5], "shoulder_pan"], []],
)
def test_wrong_names_are_refused_by_name(names: list[str]) -> None:
    with pytest.raises(InvalidInput, match="so101"):
        SO101.order(names, "The test")


def test_an_uncalibrated_robot_knows_radians_only() -> None:
    robot = robot_from_mapping({**FILE, "is_calibrated": False})
    assert robot.limits().unit == "radians"
    with pytest.raises(InvalidInput, match="calibration"):
        robot.to_radians(np.zeros(6), "normalized")


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (("joints", 0, "lower_rad"), float("nan"), "lower_rad"),
        (("joints", 0, "lower_rad"), -(10**400), "lower_rad"),
        (("joints", 0, "lower_rad"), 9.0, "below upper_rad"),
        (("joints", 0, "max_velocity_rad_s"), 0, "above 0"),
        (("joints", 0, "lowerrad"), 1.0, "lowerrad"),
        (("joints", 1, "name"), "shoulder_pan", "two joints"),
        (("joints",), [], "list of joints"),
        (("cameras", "front", "width"), 0, "camera"),
        (("colour",), "red", "colour"),
    ],
)
def test_a_wrong_robot_file_is_refused_naming_the_key(
    path: tuple[str | int, ...], value: object, names: str
) -> None:
    data = copy.deepcopy(FILE)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InvalidInput, match=names):
        robot_from_mapping(data)


def test_an_unknown_robot_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="so101"):
        load_robot("so100x")
