# SPDX-License-Identifier: Apache-2.0
"""What a runner has to know of a walking policy (ControlSpec), and the same as ONNX metadata.

Every number has at most three decimals, because the metadata convention keeps no more: both say exactly the same.
"""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.platform.catalog.control_spec import ControlSpec, Fell, Initial, Term, slices

LEGS = ("FL", "FR", "RL", "RR")
PONY_JOINTS = tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("abduction", "thigh", "calf"))
# Joints of the G1 in the order of its MJCF, which is that of its motors: legs, waist, arms.
G1_JOINTS = tuple(
    f"{name}_joint"
    for name in (
        *(
            f"{side}_{joint}"
            for side in ("left", "right")
            for joint in ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
        ),
        *("waist_yaw", "waist_roll", "waist_pitch"),
        *(
            f"{side}_{joint}"
            for side in ("left", "right")
            for joint in (
                *("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow"),
                *("wrist_roll", "wrist_pitch", "wrist_yaw"),
            )
        ),
    )
)
TERMS = ("base_ang_vel", "projected_gravity", "command", "gait_phase", "joint_pos", "joint_vel", "actions")


def pony_spec(period: float) -> ControlSpec:
    """Return what a runner has to know of a pony whose gait takes `period` seconds."""
    pose = (0.0, 0.8, -1.6) * 4
    joints = len(PONY_JOINTS)
    return ControlSpec(
        control_dt=0.02,
        joint_names=PONY_JOINTS,
        default_joint_pos=pose,
        stiffness=(40.0,) * joints,
        damping=(1.2,) * joints,
        action_scale=(0.25,) * joints,
        action_offset=pose,
        action_clip=((-0.7, 0.7), (-0.8, 2.4), (-2.6, -0.4)) * 4,
        observations=_observations(period),
        commands={"lin_vel_x": (-0.4, 0.8), "lin_vel_y": (-0.3, 0.3), "ang_vel_z": (-1.0, 1.0)},
        initial=Initial((0.0, 0.0, 0.275), (1.0, 0.0, 0.0, 0.0)),
        fell=Fell(min_height=0.12, max_tilt_deg=60.0),
    )


def g1_spec(period: float) -> ControlSpec:
    """Return what a runner has to know of a Unitree G1 (29 joints) whose gait takes `period` seconds.

    Gains and the default pose are those of Unitree's own deployments (unitreerobotics/unitree_rl_lab).
    """
    leg_kp, leg_kd = (200.0, 200.0, 200.0, 300.0, 160.0, 160.0), (5.0, 5.0, 5.0, 6.0, 4.0, 4.0)
    leg = (-0.1, 0.0, 0.0, 0.3, -0.2, 0.0)
    left_arm, right_arm = (0.3, 0.25, 0.0, 0.97, 0.15, 0.0, 0.0), (0.3, -0.25, 0.0, 0.97, -0.15, 0.0, 0.0)
    pose = (*leg, *leg, 0.0, 0.0, 0.0, *left_arm, *right_arm)
    joints = len(G1_JOINTS)
    return ControlSpec(
        control_dt=0.02,
        joint_names=G1_JOINTS,
        default_joint_pos=pose,
        stiffness=(*leg_kp, *leg_kp, 200.0, 200.0, 200.0, *((40.0,) * 14)),
        damping=(*leg_kd, *leg_kd, 5.0, 5.0, 5.0, *((10.0,) * 14)),
        armature=0.01,
        action_scale=(0.25,) * joints,
        action_offset=pose,
        observations=_observations(period),
        commands={"lin_vel_x": (-0.05, 0.4), "lin_vel_y": (-0.1, 0.1), "ang_vel_z": (-0.4, 0.4)},
        initial=Initial((0.0, 0.0, 0.79), (1.0, 0.0, 0.0, 0.0)),
        fell=Fell(min_height=0.45, max_tilt_deg=50.0),
    )


def _observations(period: float) -> tuple[Term, ...]:
    return tuple(Term(name, params={"period": period} if name == "gait_phase" else {}) for name in TERMS)


def offsets(spec: ControlSpec) -> dict[str, slice]:
    """Return where each term lies in the observation."""
    return {term.name: where for term, where in zip(spec.observations, slices(spec), strict=True)}


def period_s(spec: ControlSpec) -> float:
    """Return the period of the term gait_phase, in seconds."""
    (period,) = (term.params["period"] for term in spec.observations if term.name == "gait_phase")
    return float(period)


def to_metadata(spec: ControlSpec, run: str) -> dict[str, str]:
    """Return `metadata_props` as mjlab 1.6 writes them (mjlab/rl/exporter_utils.py); `run` names the training."""
    terms = spec.observations
    unlimited = (float("-inf"), float("inf"))
    lists: dict[str, Sequence[Any]] = {
        "joint_names": spec.joint_names,
        "joint_stiffness": spec.stiffness,
        "joint_damping": spec.damping,
        "default_joint_pos": spec.default_joint_pos,
        "command_names": ["twist"],
        "observation_names": [term.name for term in terms],
        "observation_terms_scale": [term.scale for term in terms],
        "observation_terms_flatten_history_dim": [1.0 for _ in terms],
        "observation_terms_history_length": [float(term.history_length) for term in terms],
        "observation_terms_clip": [term.clip or unlimited for term in terms],
        "action_scale": spec.action_scale,
    }
    return {"run_path": run, **{key: _csv(values) for key, values in lists.items()}}


def _csv(values: Sequence[Any]) -> str:
    return ",".join(
        ";".join(map(_text, value)) if isinstance(value, tuple) else _text(value) for value in values
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"
