# SPDX-License-Identifier: Apache-2.0
"""From metadata_props and from deploy YAML to a ControlSpec."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.platform.catalog import onnx_metadata, safe_yaml, unitree_yaml
from lerobot_arena.testing.catalog_files import WHEELS, cart_deploy, cart_metadata

_KIB = 1024


def from_yaml(text: str) -> Any:
    return safe_yaml.load(text, "config", most_bytes=256 * _KIB)


def test_metadata_of_mjlab_is_enough() -> None:
    spec = onnx_metadata.read(cart_metadata())
    assert spec.joint_names == WHEELS
    assert (spec.stiffness, spec.damping, spec.action_scale) == ((4.0, 4.0), (0.4, 0.4), (1.0, 1.0))
    assert spec.action_offset == spec.default_joint_pos, "targets are offsets from the default pose"
    assert spec.control_dt == 0.02
    assert spec.commands == {"lin_vel_x": (-1, 1), "lin_vel_y": (-1, 1), "ang_vel_z": (-0.5, 0.5)}
    assert all(term.clip is None and term.history_length == 1 for term in spec.observations)
    assert spec.fell.max_tilt_deg == 70.0


def test_older_metadata_without_terms_is_enough() -> None:
    props = {key: value for key, value in cart_metadata().items() if not key.startswith("observation_terms")}
    assert onnx_metadata.read(props) == onnx_metadata.read(cart_metadata())


def test_lists_in_lists() -> None:
    props = cart_metadata(
        observation_terms_scale="1.000,0.250;0.250;0.500,1.000,1.000,0.050,1.000,1.000",
        observation_terms_clip="-1.000;1.000," + ",".join(["-inf;inf"] * 5) + ",-inf;2.000",
        observation_terms_history_length="0.000,1.000,5.000,2.000,1.000,1.000,1.000",
    )
    terms = onnx_metadata.read(props).observations
    assert terms[1].scale == (0.25, 0.25, 0.5) and terms[4].scale == 0.05
    assert terms[0].clip == (-1, 1) and terms[1].clip is None and terms[6].clip == (-1e9, 2.0)
    assert [term.history_length for term in terms] == [1, 1, 5, 2, 1, 1, 1]


def test_the_name_that_beyondmimic_gives_to_histories() -> None:
    props = cart_metadata(observation_terms_history_length=None, observation_history_lengths="1,1,5,1,1,1,1")
    assert onnx_metadata.read(props).observations[2].history_length == 5


def test_one_number_stands_for_all_joints() -> None:
    spec = onnx_metadata.read(cart_metadata(action_scale="0.25", joint_stiffness="7.0"))
    assert spec.action_scale == (0.25, 0.25) and spec.stiffness == (7, 7)


def test_config_fills_gaps_and_wins() -> None:
    config = {
        "joint_damping": [1.0, 2.0],
        "controlDt": 0.05,
        "commands": {"lin_vel_x": [0, 2], "lin_vel_y": [0, 0], "ang_vel_z": [-1, 1]},
        "initial": {"base_pos": [0, 0, 0.4], "base_quat": [1, 0, 0, 0]},
        "action_clip": [[-1, 1], [-2, 2]],
        "fell": {"min_height": 0.2, "max_tilt_deg": None},
        "armature": None,
    }
    spec = onnx_metadata.read(cart_metadata(joint_damping=None), config)
    assert spec.damping == (1.0, 2.0) and spec.control_dt == 0.05
    assert spec.commands["lin_vel_x"] == (0, 2)
    assert spec.initial is not None and spec.initial.base_pos == (0, 0, 0.4)
    assert spec.action_clip == ((-1, 1), (-2, 2)) and spec.fell.min_height == 0.2


def test_the_file_itself_may_say_what_exporters_do_not() -> None:
    props = cart_metadata(
        control_dt="0.01",
        gait_period="0.8",
        commands='{"lin_vel_x": [-0.5, 1], "lin_vel_y": [0, 0], "ang_vel_z": [-1, 1]}',
        observation_names="gait_phase,joint_pos",
        observation_terms_scale=None,
        observation_terms_clip=None,
        observation_terms_history_length=None,
        observation_terms_flatten_history_dim=None,
    )
    spec = onnx_metadata.read(props)
    assert spec.control_dt == 0.01 and spec.commands["ang_vel_z"] == (-1, 1)
    assert spec.observations[0].params == {"period": 0.8}


def test_config_may_name_the_joints_that_have_motors() -> None:
    """mjlab writes all joints' names and poses, but only the motors' gains."""
    props = cart_metadata(joint_names="left_wheel,lid,right_wheel", default_joint_pos="0.1,9.0,0.3")
    with pytest.raises(InvalidInput, match="name the joints that have a motor"):
        onnx_metadata.read(props)
    spec = onnx_metadata.read(props, {"joint_names": list(WHEELS)})
    assert spec.joint_names == WHEELS and spec.default_joint_pos == (0.1, 0.3)
    with pytest.raises(InvalidInput, match="another order"):
        onnx_metadata.read(props, {"joint_names": list(reversed(WHEELS))})
    with pytest.raises(InvalidInput, match="no 'head'"):
        onnx_metadata.read(props, {"joint_names": ["left_wheel", "head"]})


@given(
    st.dictionaries(st.sampled_from(sorted(cart_metadata())), st.text(max_size=30), min_size=1, max_size=3)
)
def test_no_metadata_does_more_than_be_refused(changes: dict[str, str]) -> None:
    try:
        onnx_metadata.read({**cart_metadata(), **changes})
    except ArenaError as error:
        assert str(error).startswith(("onnx_metadata_v1", "config"))


def test_gains_of_a_deploy_yaml_are_put_in_the_policys_order() -> None:
    spec = unitree_yaml.read(cart_deploy())
    assert spec.joint_names == WHEELS, "motors are right, left; the policy has them the other way round"
    assert spec.stiffness == (4.0, 5.0) and spec.damping == (0.4, 0.5)
    assert spec.observations[0].history_length == 2
    assert spec.commands["lin_vel_x"] == (-0.5, 1.0)


def test_the_g1_has_its_29_joints_in_the_order_of_its_motors() -> None:
    assert len(unitree_yaml.G1_JOINTS) == 29
    assert unitree_yaml.G1_JOINTS[0] == "left_hip_pitch_joint"
    assert unitree_yaml.G1_JOINTS[12] == "waist_yaw_joint"
    assert unitree_yaml.G1_JOINTS[28] == "right_wrist_yaw_joint"


def g1_deploy() -> dict[str, Any]:
    """As exported: no names of joints, and motors of both sides in turn."""
    order = [
        0,
        6,
        12,
        1,
        7,
        13,
        2,
        8,
        14,
        3,
        9,
        15,
        22,
        4,
        10,
        16,
        23,
        5,
        11,
        17,
        24,
        18,
        25,
        19,
        26,
        20,
        27,
        21,
        28,
    ]
    found = cart_deploy()
    del found["joint_names"]
    action = found["actions"]["JointPositionAction"]
    found.update(
        joint_ids_map=order, stiffness=list(range(29)), damping=[1.0] * 29, default_joint_pos=[0.0] * 29
    )
    action.update(scale=[0.25] * 29, offset=[0.0] * 29)
    for name in ("joint_pos_rel", "joint_vel_rel", "last_action"):
        found["observations"][name]["scale"] = [1.0] * 29
    return found


def test_a_g1_without_names_starts_standing() -> None:
    spec = unitree_yaml.read(g1_deploy())
    assert spec.joint_names[:3] == ("left_hip_pitch_joint", "right_hip_pitch_joint", "waist_yaw_joint")
    assert spec.stiffness[:4] == (0, 6, 12, 1)
    assert spec.initial is not None and spec.initial.base_pos[2] == 0.79
    assert spec.armature == 0.01
    assert spec.observation_width == 2 * (3 + 3 + 3 + 29 * 3)


@pytest.mark.parametrize(
    "write", [json.dumps, partial(yaml.safe_dump, sort_keys=False)], ids=["json", "yaml"]
)
def test_config_may_come_as_yaml_or_json(write: Callable[[Any], str]) -> None:
    assert unitree_yaml.read(from_yaml(write(g1_deploy()))) == unitree_yaml.read(g1_deploy())


def test_isaac_labs_slice_is_every_joint() -> None:
    text = yaml.safe_dump(g1_deploy(), sort_keys=False).replace(
        "joint_ids: null",
        "joint_ids: !!python/object/apply:builtins.slice\n    - null\n    - null\n    - null",
    )
    assert "builtins.slice" in text
    assert unitree_yaml.read(from_yaml(text)) == unitree_yaml.read(g1_deploy())


def test_shared_parts_are_read_as_copies() -> None:
    assert from_yaml("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


@given(st.text(alphabet="[]{}:&*!|>-?, \nab01'\"", max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        read = from_yaml(text)
    except InvalidInput:
        return
    json.dumps(read)
