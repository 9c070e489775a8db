# SPDX-License-Identifier: Apache-2.0
"""Where the simulator's cameras are, as links of the URDF: MuJoCo's body frames are the URDF's link frames."""

from dataclasses import dataclass
from math import atan2, hypot
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec

# MuJoCo's cameras look along -z with y up, optical frames (REP-103) along z with y down.
_OPTICAL = np.diag([1.0, -1.0, -1.0])
_LINK_OF_BODY = {"world": "base_link", "gripper": "gripper_link"}


@dataclass(frozen=True, slots=True)
class CameraMount:
    """A camera's optical frame in the frame of the link that carries it: metres, and roll, pitch, yaw in radians."""

    camera: str
    link: str
    xyz: tuple[float, float, float]
    rpy: tuple[float, float, float]


def camera_mounts(robot: RobotSpec) -> tuple[CameraMount, ...]:
    """One mount per camera of the robot file. Raises InvalidInput, Unavailable as building the model does."""
    from lerobot_arena.embodiment.simulation.engine import mujoco
    from lerobot_arena.embodiment.simulation.model import build_model

    mj = mujoco()
    model = build_model(robot)
    data = mj.MjData(model)
    mj.mj_forward(model, data)
    return tuple(_mount(model, data, camera.name) for camera in robot.cameras)


def _mount(model: Any, data: Any, camera: str) -> CameraMount:
    body = int(model.camera(camera).bodyid[0])
    while model.body(body).name not in _LINK_OF_BODY:
        body = int(model.body(body).parentid[0])
    carrier = data.body(body)
    frame = np.array(carrier.xmat).reshape(3, 3)
    view = data.camera(camera)
    position = frame.T @ (np.array(view.xpos) - np.array(carrier.xpos))
    rotation = frame.T @ np.array(view.xmat).reshape(3, 3) @ _OPTICAL
    x, y, z = position.tolist()
    return CameraMount(camera, _LINK_OF_BODY[model.body(body).name], (x, y, z), _roll_pitch_yaw(rotation))


def _roll_pitch_yaw(rotation: FloatArray) -> tuple[float, float, float]:
    """URDF's fixed-axis angles: R = Rz(yaw)·Ry(pitch)·Rx(roll)."""
    r = rotation.tolist()
    return atan2(r[2][1], r[2][2]), atan2(-r[2][0], hypot(r[2][1], r[2][2])), atan2(r[1][0], r[0][0])


def link_text(mount: CameraMount) -> str:
    """The URDF elements of one camera's optical frame, named as the images' frame_id."""
    name = f"{mount.camera}_optical_frame"
    xyz, rpy = (" ".join(f"{value:.6f}" for value in triple) for triple in (mount.xyz, mount.rpy))
    return (
        f'  <link name="{name}"/>\n'
        f'  <joint name="{mount.camera}_optical_joint" type="fixed">\n'
        f'    <origin xyz="{xyz}" rpy="{rpy}"/>\n'
        f'    <parent link="{mount.link}"/>\n'
        f'    <child link="{name}"/>\n'
        f"  </joint>\n"
    )
