# SPDX-License-Identifier: Apache-2.0
"""The simulated world over time: an arm that follows position targets, a cube, a tray. Deterministic per seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import atan2, cos, sin
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.embodiment.simulation.engine import mujoco
from lerobot_arena.embodiment.simulation.layout import CUBE_SIDE_M, Layout, Placement, draw_layout
from lerobot_arena.embodiment.simulation.model import build_model

# Drawn back, gripper down and open, out of the front camera's view of the table.
HOME_RAD: Mapping[str, float] = {
    "shoulder_pan": 0.0,
    "shoulder_lift": -0.82,
    "elbow_flex": 0.52,
    "wrist_flex": 1.52,
    "wrist_roll": 1.5708,
    "gripper": 0.9,
}
HOME_JITTER_RAD = 0.04
_GRIPPER_BODIES = ("gripper", "moving_jaw_so101_v1", "camera_mount")


@dataclass(frozen=True, slots=True)
class Objects:
    """What the referee sees: positions in metres in the base frame, the cube's speed in m/s."""

    cube_position: FloatArray
    cube_speed_m_s: float
    cube_yaw_rad: float
    tray: Placement
    is_touched: bool


class Scene:
    """Physics of one world. Joint values are radians, in the order of `robot.joint_names`.

    Not thread-safe: one thread steps it. `snapshot()` is all a Renderer elsewhere needs.
    """

    def __init__(self, robot: RobotSpec, *, seed: int = 0, model: Any = None) -> None:
        """Build the world; `model` spares the compilation when one is at hand. Raises InvalidInput, Unavailable."""
        self._mj = mujoco()
        self.robot = robot
        self.model = model if model is not None else build_model(robot)
        self.data = self._mj.MjData(self.model)
        self._address = np.array([self.model.joint(name).qposadr[0] for name in robot.joint_names])
        self._velocity_address = np.array([self.model.joint(name).dofadr[0] for name in robot.joint_names])
        self._actuator = np.array([self.model.actuator(name).id for name in robot.joint_names])
        self._cube_address = int(self.model.joint("cube").qposadr[0])
        self._cube_velocity_address = int(self.model.joint("cube").dofadr[0])
        self._cube_geom = int(self.model.geom("cube").id)
        bodies = {int(self.model.body(name).id) for name in _GRIPPER_BODIES}
        self._is_gripper_geom = np.array([int(body) in bodies for body in self.model.geom_bodyid])
        # The arm's geoms are those that neither the table, the cube nor the tray own.
        others = {0, int(self.model.body("cube").id), int(self.model.body("tray").id)}
        self._is_arm_geom = np.array([int(body) not in others for body in self.model.geom_bodyid])
        self._due_s = 0.0
        self.seed = seed
        self.reset(seed)

    @property
    def time_s(self) -> float:
        """Simulated seconds since the last full reset."""
        return float(self.data.time)

    @property
    def snapshot_size(self) -> int:
        """Length of `snapshot()`."""
        return int(self.model.nq) + 7

    def reset(self, seed: int) -> None:
        """Put arm, cube and tray where `seed` says, at time 0."""
        self._mj.mj_resetData(self.model, self.data)
        self._due_s = 0.0
        random = np.random.default_rng(seed)
        layout = draw_layout(random)
        home = np.array([HOME_RAD[name] for name in self.robot.joint_names])
        self.set_arm(home + random.uniform(-HOME_JITTER_RAD, HOME_JITTER_RAD, home.shape))
        self.place(layout)
        self.seed = seed

    def reset_objects(self, seed: int) -> None:
        """Put cube and tray where `seed` says; the arm stays where it is, and time goes on."""
        self.place(draw_layout(np.random.default_rng(seed)))
        self.seed = seed

    def place(self, layout: Layout) -> None:
        """Put cube and tray down, at rest."""
        cube, tray = layout.cube, layout.tray
        at, velocity = self._cube_address, self._cube_velocity_address
        self.data.qpos[at : at + 7] = [cube.x_m, cube.y_m, CUBE_SIDE_M / 2, *_yaw_quaternion(cube.yaw_rad)]
        self.data.qvel[velocity : velocity + 6] = 0.0
        self.data.mocap_pos[0] = [tray.x_m, tray.y_m, 0.0]
        self.data.mocap_quat[0] = _yaw_quaternion(tray.yaw_rad)
        self._mj.mj_forward(self.model, self.data)

    def set_arm(self, positions_rad: ArrayLike) -> None:
        """Teleport the arm, at rest, with its targets there. For a reset, never for a running episode."""
        positions = self._in_order(positions_rad)
        self.data.qpos[self._address] = positions
        self.data.qvel[self._velocity_address] = 0.0
        self.set_targets(positions)
        self._mj.mj_forward(self.model, self.data)

    def set_targets(self, targets_rad: ArrayLike | Mapping[str, float]) -> None:
        """Position targets the servos follow from now on. Raises InvalidInput unless finite and one per joint."""
        self.data.ctrl[self._actuator] = self._in_order(targets_rad)

    def targets(self) -> FloatArray:
        """The present targets."""
        return np.array(self.data.ctrl[self._actuator])

    def step(self, targets_rad: ArrayLike | Mapping[str, float] | None, seconds: float) -> None:
        """Advance by `seconds` of simulated time towards `targets_rad` (None: the present ones).

        What is less than one physics step is carried over to the next call, so that no time is lost.
        """
        if targets_rad is not None:
            self.set_targets(targets_rad)
        timestep = float(self.model.opt.timestep)
        self._due_s += seconds
        # A tenth of a step of tolerance: 30 × (1/30) s must be 200 steps, whatever the last bit says.
        count = int(self._due_s / timestep + 0.1)
        self._due_s -= count * timestep
        if count:
            self._mj.mj_step(self.model, self.data, count)

    def joint_positions(self) -> FloatArray:
        """Measured positions."""
        return np.array(self.data.qpos[self._address])

    def joint_velocities(self) -> FloatArray:
        """Measured velocities, rad/s."""
        return np.array(self.data.qvel[self._velocity_address])

    def snapshot(self) -> FloatArray:
        """Everything a picture depends on, as one flat array of `snapshot_size`: qpos and the tray's pose."""
        return np.concatenate([self.data.qpos, self.data.mocap_pos[0], self.data.mocap_quat[0]])

    def objects(self) -> Objects:
        """Cube and tray as the referee sees them."""
        at, velocity = self._cube_address, self._cube_velocity_address
        tray_x, tray_y, _ = self.data.mocap_pos[0]
        return Objects(
            cube_position=np.array(self.data.qpos[at : at + 3]),
            cube_speed_m_s=float(np.linalg.norm(self.data.qvel[velocity : velocity + 3])),
            cube_yaw_rad=_yaw(self.data.qpos[at + 3 : at + 7]),
            tray=Placement(float(tray_x), float(tray_y), _yaw(self.data.mocap_quat[0])),
            is_touched=self._is_cube_touched(),
        )

    def is_arm_touching(self) -> bool:
        """Whether any part of the arm touches anything, itself included."""
        pairs = self.data.contact.geom
        return bool((self._is_arm_geom[pairs]).any())

    def _is_cube_touched(self) -> bool:
        pairs = self.data.contact.geom
        touching = (pairs == self._cube_geom).any(axis=1)
        return bool(self._is_gripper_geom[pairs[touching]].any())

    def _in_order(self, values_rad: ArrayLike | Mapping[str, float]) -> FloatArray:
        if isinstance(values_rad, Mapping):
            names = tuple(values_rad)
            values = np.array([values_rad[names[i]] for i in self.robot.order(names, "The targets")])
        else:
            values = np.asarray(values_rad, dtype=np.float64)
        if values.shape != (len(self.robot.joints),) or not np.isfinite(values).all():
            raise InvalidInput(
                f"The simulator needs {len(self.robot.joints)} finite joint values, got {values.tolist()}."
            )
        return values


def build_scene(robot: RobotSpec, *, seed: int = 0) -> Scene:
    """A world for `robot`, reset to `seed`. Raises InvalidInput for another arm, Unavailable without MuJoCo."""
    return Scene(robot, seed=seed)


def _yaw_quaternion(yaw_rad: float) -> tuple[float, float, float, float]:
    return cos(yaw_rad / 2), 0.0, 0.0, sin(yaw_rad / 2)


def _yaw(quaternion: FloatArray) -> float:
    """Rotation about z of a (w, x, y, z) quaternion."""
    w, x, y, z = (float(part) for part in quaternion)
    return atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
