# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of the simulated SO-101 by damped least squares (Wampler 1986).

The arm has five joints before the gripper: where the jaws are (3), how they tilt (1) and how they turn (1). A pose
seen from above therefore fixes all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.embodiment.simulation.engine import mujoco
from lerobot_arena.embodiment.simulation.layout import PAN_AXIS_XY

ARM_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
_DAMPING = 0.02
_STEP_RAD = 0.3
# A radian of lean weighs as much as this many metres.
_LEAN_WEIGHT_M = 0.08


@dataclass(frozen=True, slots=True)
class Reach:
    """An answer: joint angles of ARM_JOINTS and how far from the wanted point and lean they are."""

    joints_rad: FloatArray
    distance_m: float
    lean_error_rad: float


class Kinematics:
    """IK on a copy of the model's state: nothing in the world moves."""

    def __init__(self, model: Any) -> None:
        self._mj = mujoco()
        self._model = model
        self._data = self._mj.MjData(model)
        self._site = int(model.site("gripperframe").id)
        self._address = np.array([model.joint(name).qposadr[0] for name in ARM_JOINTS])
        self._column = np.array([model.joint(name).dofadr[0] for name in ARM_JOINTS])
        self._lower, self._upper = model.jnt_range[[model.joint(name).id for name in ARM_JOINTS]].T

    def tip(self, joints_rad: Mapping[str, float]) -> FloatArray:
        """Where the jaws meet, metres in the base frame, for the given joints."""
        self._set(np.array([joints_rad[name] for name in ARM_JOINTS]))
        return self._position()

    def reach(
        self,
        position_m: FloatArray,
        roll_rad: float,
        start_rad: FloatArray,
        *,
        lean_rad: float,
        steps: int = 60,
    ) -> Reach:
        """Joints that put the jaws at `position_m`, pointing down, with wrist_roll at `roll_rad`.

        `start_rad`: five angles to begin from. `lean_rad`: how far the gripper leans outward from straight down.
        Always answers; the caller judges the remaining distance.
        """
        joints = np.array(start_rad, dtype=np.float64)
        joints[4] = roll_rad
        # Which way is outward hardly changes on the way there. The sine tells outward from inward; the cosine,
        # equal for both, would let the answer jump from one to the other.
        outward = np.array([position_m[0] - PAN_AXIS_XY[0], position_m[1] - PAN_AXIS_XY[1], 0.0])
        outward /= max(float(np.linalg.norm(outward)), 1e-6)
        wanted = np.array([*position_m, np.sin(lean_rad)])
        jacobian_position = np.zeros((3, self._model.nv))
        jacobian_rotation = np.zeros((3, self._model.nv))
        for _ in range(steps):
            self._set(joints)
            forward = self._forward()
            error = wanted - np.array([*self._position(), forward @ outward])
            error[3] *= _LEAN_WEIGHT_M
            if np.abs(error).max() < 1e-5:
                break
            self._mj.mj_jacSite(self._model, self._data, jacobian_position, jacobian_rotation, self._site)
            # d(forward)/dq = axis × forward, of which only the outward part is asked for.
            lean = np.cross(jacobian_rotation[:, self._column].T, forward) @ outward
            jacobian = np.vstack([jacobian_position[:, self._column[:4]], lean[:4] * _LEAN_WEIGHT_M])
            square = jacobian @ jacobian.T + _DAMPING**2 * np.linalg.norm(error) * np.eye(4)
            change = jacobian.T @ np.linalg.solve(square, error)
            joints[:4] += np.clip(change, -_STEP_RAD, _STEP_RAD)
            joints = np.clip(joints, self._lower, self._upper)
        self._set(joints)
        lean_error = float(np.arcsin(np.clip(self._forward() @ outward, -1, 1))) - lean_rad
        return Reach(joints, float(np.linalg.norm(self._position() - position_m)), abs(lean_error))

    def _set(self, joints: FloatArray) -> None:
        self._data.qpos[self._address] = joints
        self._mj.mj_kinematics(self._model, self._data)
        self._mj.mj_comPos(self._model, self._data)

    def _position(self) -> FloatArray:
        return np.array(self._data.site_xpos[self._site])

    def _forward(self) -> FloatArray:
        return np.array(self._data.site_xmat[self._site].reshape(3, 3)[:, 2])
