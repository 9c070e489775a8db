# SPDX-License-Identifier: Apache-2.0
"""What clients may send as joint values, and what becomes of anything else."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.units import DEGREES, NORMALIZED, RADIANS, UNITS
from lerobot_arena.rooms.joint_payload import (
    SAME_JOINT,
    JointPayloadError,
    JointVocabulary,
    parse_joints,
)

LEROBOT = tuple(family[0] for family in SAME_JOINT)
SETS = [tuple(family[column] for family in SAME_JOINT) for column in range(4)]
VOCABULARY = JointVocabulary(LEROBOT)


def as_list(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize("names", SETS, ids=["lerobot", "frontend", "legacy", "ur-like"])
@pytest.mark.parametrize("own", SETS, ids=["lerobot", "frontend", "legacy", "ur-like"])
@pytest.mark.parametrize("shape", [dict, as_list], ids=["object", "list"])
@pytest.mark.parametrize("suffix", ["", ".pos"])
def test_every_alias_set_means_the_sessions_own_joints(
    names: tuple[str, ...], own: tuple[str, ...], shape: Any, suffix: str
) -> None:
    values = {f"{name}{suffix}": float(index) for index, name in enumerate(names)}
    update = parse_joints(shape(values), JointVocabulary(own))
    assert update.names == own
    assert update.values == (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def test_the_shipped_robots_aliases_are_the_same_sets() -> None:
    for joint, family in zip(load_robot("so101").joints, SAME_JOINT, strict=True):
        assert {joint.name, *joint.aliases} == set(family)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, "joints_shape"),
        ("shoulder_pan", "joints_shape"),
        (3, "joints_shape"),
        ([], "joints_empty"),
        ({}, "joints_empty"),
        ([{"name": "shoulder_pan"}], "joint_entry"),
        ([["shoulder_pan", 1.0]], "joint_entry"),
        ([{"name": 7, "value": 1.0}], "joint_name"),
        ([{"name": "", "value": 1.0}], "joint_name"),
        ({"tail": 1.0}, "joint_unknown"),
        ({"shoulder_pan": 1.0, "Rotation": 1.0}, "joint_twice"),
        ({"shoulder_pan": "1"}, "joint_value"),
        ({"shoulder_pan": True}, "joint_value"),
        ({"shoulder_pan": None}, "joint_value"),
        ({"shoulder_pan": [1.0]}, "joint_value"),
        ({"shoulder_pan": math.nan}, "joint_not_finite"),
        ({"shoulder_pan": -math.inf}, "joint_not_finite"),
        ({"shoulder_pan": 10**400}, "joint_not_finite"),
        ({"shoulder_pan": 100.1}, "joint_out_of_range"),
        ({"gripper": -1.0}, "joint_out_of_range"),
        ({"Jaw": 101}, "joint_out_of_range"),
        ({f"j{i}": 0.0 for i in range(65)}, "joints_too_many"),
    ],
)
def test_anything_else_is_refused_whole_with_a_code(payload: Any, code: str) -> None:
    with pytest.raises(JointPayloadError) as caught:
        parse_joints(payload, VOCABULARY)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("unit", "joint", "highest"),
    [
        (NORMALIZED, "shoulder_pan", 100.0),
        (NORMALIZED, "gripper", 100.0),
        (DEGREES, "wrist_roll", 360.0),
        (DEGREES, "gripper", 100.0),
        (RADIANS, "gripper", 2 * math.pi),
    ],
)
def test_ranges_belong_to_the_unit(unit: str, joint: str, highest: float) -> None:
    vocabulary = JointVocabulary(LEROBOT, unit)
    assert parse_joints({joint: highest + 1e-5}, vocabulary).values == (highest,)
    with pytest.raises(JointPayloadError):
        parse_joints({joint: highest + 0.1}, vocabulary)


def test_partial_updates_keep_what_is_known() -> None:
    known = dict.fromkeys(LEROBOT, 5.0)
    merged = parse_joints({"Elbow": -3}, VOCABULARY).merged_into(known)
    assert merged == {**known, "elbow_flex": -3.0}


def test_two_joints_of_one_family_are_told_apart_by_their_own_names_only() -> None:
    vocabulary = JointVocabulary(("gripper", "Jaw"))
    assert parse_joints({"gripper": 1.0, "Jaw": 2.0}, vocabulary).names == ("gripper", "Jaw")
    with pytest.raises(JointPayloadError):
        parse_joints({"wrist_twist": 1.0}, vocabulary)


def test_a_robot_files_aliases_count() -> None:
    vocabulary = JointVocabulary(("base",), aliases={"base": ("axis_1",)})
    assert parse_joints({"axis_1.pos": 4.0}, vocabulary).names == ("base",)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([name for family in SAME_JOINT for name in family] + ["tail", "shoulder_pan.pos"])


@settings(deadline=None)
@given(
    json_values
    | st.dictionaries(names, json_values)
    | st.lists(st.fixed_dictionaries({"name": names, "value": json_values})),
    st.sampled_from(UNITS),
)
def test_no_payload_gets_past_the_rules(payload: Any, unit: str) -> None:
    vocabulary = JointVocabulary(LEROBOT, unit)
    try:
        update = parse_joints(payload, vocabulary)
    except JointPayloadError:
        return
    assert len(set(update.names)) == len(update.names) == len(update.values) > 0
    for name, value in zip(update.names, update.values, strict=True):
        lowest, highest = vocabulary.range_of(name)
        assert name in LEROBOT
        assert lowest <= value <= highest


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(LEROBOT), st.floats(0, 100), min_size=1), st.data())
def test_both_shapes_and_any_order_mean_the_same(values: dict[str, float], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(as_list(values)))
    from_list, from_object = parse_joints(shuffled, VOCABULARY), parse_joints(values, VOCABULARY)
    assert from_list.merged_into({}) == from_object.merged_into({}) == values
