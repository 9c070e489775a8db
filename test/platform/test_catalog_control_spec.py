# SPDX-License-Identifier: Apache-2.0
"""ControlSpec: what is read is what was written, and anything else is refused by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.platform.catalog import control_spec, onnx_metadata
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.catalog.terms import TERMS
from lerobot_arena.testing.catalog_files import CART_WIDTHS, cart_metadata


def cart() -> ControlSpec:
    return onnx_metadata.read(cart_metadata())


def changed(**changes: Any) -> dict[str, Any]:
    return {**cart().to_json(), **changes}


def test_it_is_what_it_was_after_json() -> None:
    assert control_spec.from_json(json.loads(json.dumps(cart().to_json()))) == cart()


def test_every_missing_key_is_named_at_once() -> None:
    entry = cart().to_json()
    for key in ("damping", "observations", "commands"):
        del entry[key]
    with pytest.raises(InvalidInput, match="missing keys damping, observations, commands"):
        control_spec.from_json(entry)


def test_what_may_be_left_out_has_a_default() -> None:
    entry = cart().to_json()
    for key in ("version", "armature", "action_clip", "input_name", "output_name", "initial", "fell"):
        del entry[key]
    read = control_spec.from_json(entry)
    assert (read.input_name, read.output_name, read.fell.max_tilt_deg) == ("obs", "actions", None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 2"),
        ({"control_dt": 0.3}, "control_dt"),
        ({"control_dt": True}, "control_dt"),
        ({"joint_names": []}, "1 to 256"),
        ({"joint_names": ["a", "a"]}, "a more than once"),
        ({"stiffness": [1.0]}, "stiffness must have 2 numbers, got 1"),
        ({"stiffness": [1.0, float("inf")]}, r"stiffness\[1\]"),
        ({"damping": "12"}, "damping must have 2"),
        ({"damping": [-0.1, 0]}, r"damping\[0\]"),
        ({"action_clip": [[1, 0], [0, 1]]}, r"action_clip\[0\]"),
        ({"action_clip": [[0, 1]]}, "2 pairs"),
        ({"observations": []}, "1 to 64 terms"),
        ({"observations": [{"name": "joint_pos", "scale": [1.0, 1.0, 1.0]}]}, "scale of joint_pos"),
        ({"observations": [{"name": "joint_pos", "clip": [0]}]}, "clip of joint_pos"),
        ({"observations": [{"name": "joint_pos", "history_length": 0}]}, "history_length"),
        ({"observations": [{"name": "joint_pos", "history_length": True}]}, "history_length"),
        ({"observations": [{"name": "joint_po"}]}, "Did you mean 'joint_pos'"),
        ({"observations": [{"name": "gait_phase"}]}, "missing key period"),
        ({"observations": [{"name": "gait_phase", "params": {"period": 0}}]}, "period"),
        ({"observations": [{"name": "command", "weight": 1}]}, "unknown key"),
        ({"commands": {"lin_vel_x": [0, 1]}}, "missing keys lin_vel_y, ang_vel_z"),
        (
            {"commands": {"lin_vel_x": [0.2, 1], "lin_vel_y": [0, 0], "ang_vel_z": [0, 0]}},
            r"commands.lin_vel_x must have 0 in it, got \[0.2, 1\]",
        ),
        (
            {"commands": {"lin_vel_x": [0, 1], "lin_vel_y": [0, 0], "ang_vel_z": [-1, -0.5]}},
            "ang_vel_z must have 0",
        ),
        ({"initial": {"base_pos": [0, 0, 1]}}, "missing key base_quat"),
        ({"initial": {"base_pos": [0, 0, 1], "base_quat": [2, 0, 0, 0]}}, "unit quaternion"),
        ({"fell": {"max_tilt_deg": 200}}, "max_tilt_deg"),
        ({"input_name": "a\nb"}, "input_name"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        control_spec.from_json(changed(**change))


def test_an_observation_cannot_be_wider_than_allowed() -> None:
    wide = [{"name": "joint_pos", "history_length": 200}] * 64
    names = [f"j{i}" for i in range(256)]
    per_joint = ("default_joint_pos", "stiffness", "damping", "action_scale", "action_offset")
    with pytest.raises(InvalidInput, match="wide"):
        control_spec.from_json(
            changed(joint_names=names, observations=wide, **dict.fromkeys(per_joint, [0.0] * 256))
        )


def test_terms_lie_one_behind_the_other() -> None:
    spec = cart()
    assert [part.stop - part.start for part in control_spec.slices(spec)] == list(CART_WIDTHS)
    assert control_spec.slices(spec)[-1].stop == spec.observation_width == sum(CART_WIDTHS)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("history", [1, 5])
def test_each_term_is_as_wide_as_it_says(name: str, history: int) -> None:
    params = {"period": 0.8} if name == "gait_phase" else {}
    entry = changed(observations=[{"name": name, "history_length": history, "params": params}])
    spec = control_spec.from_json(entry)
    width = TERMS[name].width_for(2) * history
    assert spec.observation_width == width
    spec.check_network(width, 2)
    with pytest.raises(InvalidInput, match=f"takes {width + 1} numbers.*{name}"):
        spec.check_network(width + 1, 2)
    with pytest.raises(InvalidInput, match="3 actions"):
        spec.check_network(width, 3)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(sorted(cart().to_json())), _JSON)
def test_no_value_at_all_does_more_than_be_refused(key: str, value: Any) -> None:
    try:
        spec = control_spec.from_json(changed(**{key: value}))
    except ArenaError:
        return
    assert control_spec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))) == spec
