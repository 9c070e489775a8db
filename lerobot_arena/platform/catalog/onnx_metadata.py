# SPDX-License-Identifier: Apache-2.0
"""`onnx_metadata_v1`: a ControlSpec from a network's own `metadata_props`, and from a config for what they lack.

The convention is mjlab's (`mjlab/rl/exporter_utils.py`) and BeyondMimic's: lists as CSV with three decimals, lists in
lists joined by `;`. No exporter writes `control_dt`, command ranges or a start, so those come from `config`, or from
further `metadata_props` (as JSON), or from the defaults below.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from math import copysign, isinf
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import control_spec, reading
from lerobot_arena.platform.catalog.adapters import ONNX_METADATA as NAME
from lerobot_arena.platform.catalog.control_spec import ControlSpec

REQUIRED = (
    "joint_names",
    "default_joint_pos",
    "joint_stiffness",
    "joint_damping",
    "action_scale",
    "observation_names",
)
DEFAULT_CONTROL_DT_S = 0.02
# Those of mjlab's velocity task (mjlab/tasks/velocity/velocity_env_cfg.py).
DEFAULT_COMMANDS = {"lin_vel_x": [-1.0, 1.0], "lin_vel_y": [-1.0, 1.0], "ang_vel_z": [-0.5, 0.5]}
DEFAULT_FELL = {"min_height": None, "max_tilt_deg": 70.0}
# JSON has no infinity, and a float32 nothing beyond this.
_UNBOUNDED = reading.LARGEST


def _names(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _one(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text.strip()[:40]!r} is no number") from None


def _numbers(text: str) -> list[float]:
    return [_one(item) for item in text.split(",")]


def _nested(text: str) -> list[float | list[float]]:
    parts = [[_one(item) for item in entry.split(";")] for entry in text.split(",")]
    return [part[0] if len(part) == 1 else part for part in parts]


_PARSERS: dict[str, Callable[[str], Any]] = {
    "joint_names": _names,
    "observation_names": _names,
    "command_names": _names,
    "default_joint_pos": _numbers,
    "joint_stiffness": _numbers,
    "joint_damping": _numbers,
    "action_scale": _numbers,
    "observation_terms_scale": _nested,
    "observation_terms_clip": _nested,
    "observation_terms_history_length": _numbers,
    "observation_terms_flatten_history_dim": lambda text: [_truth(item) for item in _names(text)],
    "observation_history_lengths": _numbers,
    "control_dt": _one,
    "action_offset": _numbers,
    "action_clip": json.loads,
    "armature": _one,
    "commands": json.loads,
    "initial": json.loads,
    "fell": json.loads,
    "gait_period": _one,
}
CONFIG_KEYS = frozenset(_PARSERS) | {"controlDt"}


def read(props: Mapping[str, str], config: Mapping[str, Any] | None = None) -> ControlSpec:
    """The spec that metadata and config give together; config wins.

    Raises InvalidInput naming every key that neither has, or the first that is wrong.
    """
    given, written = _config(config), _decoded(props)
    found = {**written, **given}
    absent = reading.missing(found, REQUIRED)
    if absent:
        raise InvalidInput(
            f"{NAME}: missing {'key' if len(absent) == 1 else 'keys'} {', '.join(absent)} "
            "in the model's metadata_props and in config."
        )
    pose = _default_pose(written, given)
    if pose is not None:
        found["default_joint_pos"] = pose
    return control_spec.from_json(_spec(found), NAME)


def _config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    entry = dict(strict.mapping(config or {}, "config"))
    strict.only(entry, CONFIG_KEYS, "config")
    if "controlDt" in entry:
        entry.setdefault("control_dt", entry.pop("controlDt"))
    return {key: value for key, value in entry.items() if value is not None}


def _decoded(props: Mapping[str, str]) -> dict[str, Any]:
    """The known keys; others are notes of the exporter. Raises InvalidInput naming a key that cannot be read."""
    found = {}
    for key, parse in _PARSERS.items():
        if props.get(key, "").strip():
            try:
                found[key] = parse(props[key])
            except (ValueError, RecursionError) as error:
                raise InvalidInput(
                    f"{NAME}: metadata_props {key} cannot be read: {str(error)[:120]}."
                ) from error
    return found


def _spec(found: Mapping[str, Any]) -> dict[str, Any]:
    names = reading.plain_names(found["joint_names"], f"{NAME}: joint_names", control_spec.MOST_JOINTS)
    default, count = found["default_joint_pos"], len(names)
    return {
        "control_dt": found.get("control_dt", DEFAULT_CONTROL_DT_S),
        "joint_names": names,
        "default_joint_pos": default,
        "stiffness": _each(found["joint_stiffness"], count, "joint_stiffness"),
        "damping": _each(found["joint_damping"], count, "joint_damping"),
        "armature": found.get("armature"),
        "action_scale": _each(found["action_scale"], count, "action_scale"),
        "action_offset": _each(found.get("action_offset", default), count, "action_offset"),
        "action_clip": found.get("action_clip"),
        "observations": _observations(found),
        "commands": found.get("commands", DEFAULT_COMMANDS),
        "initial": found.get("initial"),
        "fell": found.get("fell", DEFAULT_FELL),
    }


def _default_pose(written: Mapping[str, Any], given: Mapping[str, Any]) -> list[float] | None:
    """Of a config that names some joints only: their part of the pose that the metadata gives for all."""
    everything, pose = written.get("joint_names", []), written.get("default_joint_pos", [])
    is_whole = all(key in given for key in REQUIRED if key != "observation_names")
    if "joint_names" not in given or is_whole or not everything or len(everything) != len(pose):
        return None
    wanted = strict.names(given["joint_names"], f"{NAME}: joint_names in config", everything)
    places = [everything.index(name) for name in wanted]
    if places != sorted(places):
        raise InvalidInput(
            f"{NAME}: joint_names in config are in another order than in the metadata; "
            "give default_joint_pos, joint_stiffness, joint_damping and action_scale in config as well."
        )
    return [pose[place] for place in places]


def _each(value: Any, count: int, key: str) -> Sequence[float]:
    """One value for all joints, or one each. Raises InvalidInput with what to do about joints without a motor."""
    if strict.is_number(value):
        return [value] * count
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"{NAME}: {key} must be a number or a list of numbers.")
    if len(value) == 1:
        return [value[0]] * count
    if len(value) != count:
        raise InvalidInput(
            f"{NAME}: joint_names has {count} joints but {key} {len(value)} numbers; "
            "name the joints that have a motor, in the order of the actions, as joint_names in config."
        )
    return value


def _observations(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = reading.name_list(
        found["observation_names"], f"{NAME}: observation_names", control_spec.MOST_TERMS
    )

    def per_term(key: str, default: Any) -> list[Any]:
        values = found.get(key, [default] * len(names))
        if not isinstance(values, list | tuple) or len(values) != len(names):
            got = len(values) if isinstance(values, list | tuple) else type(values).__name__
            raise InvalidInput(f"{NAME}: observation_names has {len(names)} terms but {key} {got}.")
        return list(values)

    lengths = "observation_terms_history_length"
    if lengths not in found and "observation_history_lengths" in found:
        lengths = "observation_history_lengths"
    scales, clips = per_term("observation_terms_scale", 1.0), per_term("observation_terms_clip", None)
    histories, flat = per_term(lengths, 1), per_term("observation_terms_flatten_history_dim", True)
    for name, history, is_flat in zip(names, histories, flat, strict=True):
        if not is_flat and strict.is_number(history) and history > 1:
            raise InvalidInput(
                f"{NAME}: the history of {name} is not flattened, which no runner here can feed."
            )
    params = {"period": found["gait_period"]} if "gait_period" in found else {}
    return [
        {
            "name": name,
            "scale": scale,
            "clip": _bounded(clip, name),
            "history_length": _history(length, name),
            "params": params if name == "gait_phase" else {},
        }
        for name, scale, clip, length in zip(names, scales, clips, histories, strict=True)
    ]


def _bounded(clip: Any, name: str) -> list[float] | None:
    if clip is None:
        return None
    if not isinstance(clip, list | tuple) or len(clip) != 2:
        raise InvalidInput(f"{NAME}: observation_terms_clip of {name} must be lowest;highest.")
    if all(isinstance(edge, float) and isinf(edge) for edge in clip):
        return None
    return [copysign(_UNBOUNDED, edge) if isinstance(edge, float) and isinf(edge) else edge for edge in clip]


def _history(length: Any, name: str) -> Any:
    """mjlab writes 0.000 for no history, which is one reading."""
    if not strict.is_number(length) or length != int(length):
        raise InvalidInput(
            f"{NAME}: the history length of {name} must be a whole number, got {str(length)[:40]}."
        )
    return max(1, int(length))


def _truth(text: str) -> bool:
    return text.lower() not in {"0", "0.0", "0.000", "false", "none"}
