# SPDX-License-Identifier: Apache-2.0
"""`unitree_velocity_g1_v0`: a ControlSpec from the deploy YAML that unitree_rl_lab exports.

Source: unitreerobotics/unitree_rl_lab, `export_deploy_cfg.py` (writer) and `deploy/include/isaaclab` (reader).
Gains are in the order of the motors (SDK order, which is the G1's MJCF order), all else in the policy's;
`joint_ids_map[i]` is the motor of the policy's joint i.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import control_spec, reading
from lerobot_arena.platform.catalog.adapters import UNITREE_VELOCITY as NAME
from lerobot_arena.platform.catalog.control_spec import ControlSpec

REQUIRED = (
    "joint_ids_map",
    "step_dt",
    "stiffness",
    "damping",
    "default_joint_pos",
    "commands",
    "actions",
    "observations",
)
OURS = ("joint_names", "armature", "initial", "fell")
"""Keys of our own that the YAML may have besides: motors' joints in SDK order, and what the simulation starts with."""

# What deploy/include registers; its `joint_pos` is absolute, unlike mjlab's, and has no counterpart here.
TERMS = (
    "base_ang_vel",
    "projected_gravity",
    "joint_pos_rel",
    "joint_vel_rel",
    "last_action",
    "velocity_commands",
    "gait_phase",
)

_LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
_ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")
G1_JOINTS = tuple(
    f"{name}_joint"
    for name in (
        *(f"{side}_{part}" for side in ("left", "right") for part in _LEG),
        *(f"waist_{axis}" for axis in ("yaw", "roll", "pitch")),
        *(f"{side}_{part}" for side in ("left", "right") for part in _ARM),
    )
)
"""The 29 motors in SDK order."""
# Its MJCF has no start, and motors without rotor inertia.
G1_INITIAL = {"base_pos": [0.0, 0.0, 0.79], "base_quat": [1.0, 0.0, 0.0, 0.0]}
G1_ARMATURE = 0.01
DEFAULT_FELL = {"min_height": None, "max_tilt_deg": 70.0}


def read(config: Any) -> ControlSpec:
    """The spec of one deploy YAML. Raises InvalidInput naming every missing key, or the first that is wrong."""
    entry = strict.mapping(config, f"{NAME}: config")
    reading.required(entry, REQUIRED, f"{NAME}: config")
    strict.only(entry, (*REQUIRED, *OURS), f"{NAME}: config")
    motors = reading.plain_names(
        entry.get("joint_names") or G1_JOINTS, f"{NAME}: joint_names", control_spec.MOST_JOINTS
    )
    order = _order(entry["joint_ids_map"], motors)
    action = _action(entry["actions"], len(order))
    return control_spec.from_json(
        {
            "control_dt": entry["step_dt"],
            "joint_names": [motors[motor] for motor in order],
            "default_joint_pos": entry["default_joint_pos"],
            "stiffness": _by_joint(entry, "stiffness", order),
            "damping": _by_joint(entry, "damping", order),
            "armature": entry.get("armature", G1_ARMATURE),
            "action_scale": action["scale"],
            "action_offset": action["offset"],
            "action_clip": action.get("clip"),
            "observations": _observations(entry["observations"]),
            "commands": _commands(entry["commands"]),
            "initial": entry.get("initial", None if entry.get("joint_names") else G1_INITIAL),
            "fell": entry.get("fell", DEFAULT_FELL),
        },
        NAME,
    )


def _order(value: Any, motors: Sequence[str]) -> list[int]:
    if not isinstance(value, list) or not value:
        raise InvalidInput(f"{NAME}: joint_ids_map must be a list of motor numbers.")
    order = [
        strict.whole(item, f"{NAME}: joint_ids_map[{i}]", 0, len(motors) - 1) for i, item in enumerate(value)
    ]
    if sorted(order) != list(range(len(motors))):
        raise InvalidInput(
            f"{NAME}: joint_ids_map must name each of the {len(motors)} motors once, it has {len(order)} entries."
        )
    return order


def _by_joint(entry: Mapping[str, Any], key: str, order: Sequence[int]) -> list[float]:
    by_motor = reading.vector(entry[key], len(order), f"{NAME}: {key}", lowest=0.0)
    return [by_motor[motor] for motor in order]


def _action(value: Any, joints: int) -> Mapping[str, Any]:
    where = f"{NAME}: actions"
    terms = strict.mapping(value, where)
    reading.required(terms, ("JointPositionAction",), where)
    strict.only(terms, ("JointPositionAction",), where)
    where += ".JointPositionAction"
    action = strict.mapping(terms["JointPositionAction"], where)
    reading.required(action, ("scale", "offset"), where)
    strict.only(action, ("scale", "offset", "clip", "joint_names", "joint_ids"), where)
    if action.get("joint_ids") not in (None, list(range(joints))) or action.get("joint_names") not in (
        None,
        [".*"],
    ):
        raise InvalidInput(
            f"{where}: only actions of all joints are known, joint_names ['.*'] and joint_ids null."
        )
    return action


def _commands(value: Any) -> dict[str, Any]:
    where = f"{NAME}: commands"
    for key in ("base_velocity", "ranges"):
        value = strict.mapping(value, where)
        reading.required(value, (key,), where)
        value, where = value[key], f"{where}.{key}"
    ranges = strict.mapping(value, where)
    strict.only(ranges, (*control_spec.COMMANDS, "heading"), where)
    reading.required(ranges, control_spec.COMMANDS, where)
    return {name: ranges[name] for name in control_spec.COMMANDS}


def _observations(value: Any) -> list[dict[str, Any]]:
    terms = strict.mapping(value, f"{NAME}: observations")
    found = []
    for name, told in terms.items():
        where = f"{NAME}: observations.{name[:60]}"
        strict.choice(name, TERMS, f"{where}: the term")
        entry = strict.mapping(told, where)
        strict.only(entry, ("params", "clip", "scale", "history_length"), where)
        found.append({"name": name, **{key: item for key, item in entry.items() if item is not None}})
    return found
