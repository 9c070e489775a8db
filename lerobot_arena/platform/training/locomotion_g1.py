# SPDX-License-Identifier: Apache-2.0
"""The Unitree G1 as a learner's robot: its arms held still, its looks left out, and a gait for its legs.

Nothing of the robot is ours or shipped: its MJCF comes from the wheel `mjlab` (Apache-2.0; meshes BSD-3, Unitree).
Legs and waist are the first 15 of its 29 joints: what is learnt of them begins the whole robot's policy.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training.locomotion_gait import Gait, Wire
from lerobot_arena.platform.training.locomotion_ppo import Layer
from lerobot_arena.platform.training.locomotion_spec import offsets
from lerobot_arena.platform.training.locomotion_worlds import furnish

LEARNT_JOINTS = 15
TIMESTEP_S = 0.005
# Hip to ankle when standing, and the shin, in metres.
LEG_M, SHIN_M = 0.62, 1 / 3


def g1_wires(gait: Gait, period: float, numbers: Mapping[str, float]) -> list[Wire]:
    """Return the wires of a G1's gait in radians: steps, a sway of the hips over the standing foot, balance."""
    half_s = period * (1 - gait.duty) / 2
    step, bend = half_s * numbers["stride"] / LEG_M, numbers["lift_m"] / SHIN_M
    wires = []
    for limb, side in enumerate(("left", "right")):
        parts = [
            (f"lift{limb}", "knee", 2 * bend),
            (f"lift{limb}", "hip_pitch", -bend),
            (f"lift{limb}", "ankle_pitch", -bend),
            (f"reach{limb}_vx", "hip_pitch", -step),
            (f"reach{limb}_vx", "ankle_pitch", step),
            (f"reach{limb}_wz", "hip_yaw", half_s),
            ("sin_act", "hip_roll", numbers["sway_sin"]),
            ("sin_act", "ankle_roll", -numbers["sway_sin"]),
            ("cos_act", "hip_roll", numbers["sway_cos"]),
            ("cos_act", "ankle_roll", -numbers["sway_cos"]),
            ("gravity_x", "ankle_pitch", numbers["pitch"]),
            ("gyro_y", "ankle_pitch", numbers["pitch_rate"]),
            ("gravity_y", "ankle_roll", -numbers["roll"]),
            ("gyro_x", "ankle_roll", numbers["roll_rate"]),
            ("act", "knee", 2 * numbers["crouch"]),
            ("act", "hip_pitch", -numbers["crouch"] - numbers["lean"]),
            ("act", "ankle_pitch", -numbers["crouch"]),
        ]
        wires += [Wire(feature, f"{side}_{joint}_joint", radians) for feature, joint, radians in parts]
    return wires


def build(path: Path, spec: ControlSpec, extra: Sequence[Path]) -> tuple[Any, ControlSpec]:
    """Return the learner's model and its spec; `extra` is what the whole robot stands on, here it is a plain floor."""
    import mujoco

    small = learnt_spec(spec)
    model = furnish(mujoco.MjSpec.from_string(lite_xml(path, spec)), small)
    model.opt.timestep = TIMESTEP_S
    return model, small


def learnt_spec(spec: ControlSpec) -> ControlSpec:
    """Return the spec of legs and waist alone."""
    names = ("joint_names", "default_joint_pos", "stiffness", "damping", "action_scale", "action_offset")
    return replace(spec, **{name: getattr(spec, name)[:LEARNT_JOINTS] for name in names})


def lite_xml(path: Path, spec: ControlSpec) -> str:
    """Return the robot of `path` without meshes and sensors, arms fixed in the default pose of the whole `spec`.

    Only feet touch anything: a fall ends an episode anyway. Raises InvalidInput when it is not that robot.
    """
    root = ElementTree.parse(path).getroot()
    if not set(spec.joint_names) <= {joint.get("name") for joint in root.iter("joint")}:
        raise InvalidInput(f"{path} is not the G1 with 29 joints: give mjlab's unitree_g1/xmls/g1.xml.")
    pose = dict(zip(spec.joint_names, spec.default_joint_pos, strict=True))
    fixed = set(spec.joint_names[LEARNT_JOINTS:])
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "joint" and child.get("name") in fixed:
                _turn(parent, child, pose[child.attrib["name"]])
                parent.remove(child)
            elif child.tag in {"sensor", "mesh"} or (parent.tag == "body" and _is_looks(child)):
                parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def _is_looks(child: ElementTree.Element) -> bool:
    is_foot = "foot" in child.get("name", "")
    return child.tag in {"site", "camera", "light"} or (child.tag == "geom" and not is_foot)


def _turn(body: ElementTree.Element, joint: ElementTree.Element, angle: float) -> None:
    import mujoco

    about, turned = np.zeros(4), np.zeros(4)
    mujoco.mju_axisAngle2Quat(about, np.array(joint.attrib["axis"].split(), float), angle)
    mujoco.mju_mulQuat(turned, np.array(body.get("quat", "1 0 0 0").split(), float), about)
    body.set("quat", " ".join(map(repr, (turned / np.linalg.norm(turned)).tolist())))


def widened(
    weights: FloatArray, layers: Sequence[Layer], small: ControlSpec, whole: ControlSpec
) -> tuple[FloatArray, tuple[Layer, ...]]:
    """Return weights and layers for the whole robot: arms are not looked at, and stay at their default pose."""
    if small == whole:
        return weights, tuple(layers)
    joints = len(whole.joint_names)
    wide = np.zeros((len(weights), joints))
    wide[:, :LEARNT_JOINTS] = weights
    if not layers:
        return wide, ()
    seen = np.zeros((whole.observation_width, layers[0].weights.shape[1]), np.float32)
    for name, where in offsets(small).items():
        start = offsets(whole)[name].start
        seen[start : start + where.stop - where.start] = layers[0].weights[where]
    last = np.zeros((layers[-1].weights.shape[0], joints), np.float32)
    last[:, :LEARNT_JOINTS] = layers[-1].weights
    bias = np.zeros(joints, np.float32)
    bias[:LEARNT_JOINTS] = layers[-1].bias
    return wide, (Layer(seen, layers[0].bias), *layers[1:-1], Layer(last, bias))
