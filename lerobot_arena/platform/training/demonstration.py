# SPDX-License-Identifier: Apache-2.0
"""One demonstration by the scripted expert, seen as a policy will see it: pooled front camera, measured joints.

While the expert's targets are recorded, disturbed ones are executed (DART, Laskey et al. 2017), and some episodes
start above the table or just after a missed grasp: so the policy sees how to come back from its own errors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import CameraSpec, RobotSpec
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.embodiment.simulation.expert import CLOSED_RAD, OPEN_RAD, Expert, Plan
from lerobot_arena.embodiment.simulation.layout import PAN_AXIS_XY
from lerobot_arena.embodiment.simulation.render import Renderer
from lerobot_arena.embodiment.simulation.scene import Scene
from lerobot_arena.embodiment.simulation.task import PickPlaceTask
from lerobot_arena.inference.area import area_average

FPS = 30
CAMERA = "front"
POOLED_HEIGHT, POOLED_WIDTH = 96, 128

_ABOVE_SHARE, _MISSED_SHARE = 0.2, 0.15
_CALM_SHARE = 0.3
_MAX_NOISE_RAD = 0.03
_NOISE_TIME_S = 0.4


@dataclass(frozen=True, slots=True)
class Demonstration:
    """T frames of one episode: images T×96×128×3 uint8, states and actions T×D in normalized units, float32."""

    seed: int
    images: NDArray[np.uint8]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]


class Studio:
    """A world, its camera and the expert: records demonstrations. One thread; close it after use."""

    def __init__(self, robot: RobotSpec) -> None:
        self.robot = robot
        self.scene = Scene(robot)
        self.camera = camera_of(robot)
        self.renderer = Renderer(self.scene.model, [self.camera])
        self.expert = Expert(robot, self.scene.model, dt_s=1 / FPS)

    def look(self) -> NDArray[np.uint8]:
        """The policy's picture of this moment, 96×128×3."""
        picture = self.renderer.render(self.scene.snapshot(), CAMERA)
        return area_average(picture, POOLED_HEIGHT, POOLED_WIDTH)

    def record(self, seed: int) -> Demonstration | None:
        """One demonstration, or None when the disturbed expert did not succeed."""
        random = np.random.default_rng((seed, 1))
        self.scene.reset(seed)
        plan = self._start(random)
        disturbed = plan.targets_rad + self._noise(plan, random)
        referee, images, states = PickPlaceTask(), [], []
        for targets in disturbed:
            images.append(self.look())
            states.append(self.scene.joint_positions())
            self.scene.step(targets, plan.dt_s)
            status = referee.update(self.scene.objects(), self.scene.time_s)
        if not status.is_success:
            return None
        in_unit = [self.robot.from_radians(np.array(rows), NORMALIZED) for rows in (states, plan.targets_rad)]
        return Demonstration(
            seed, np.stack(images), in_unit[0].astype(np.float32), in_unit[1].astype(np.float32)
        )

    def _start(self, random: np.random.Generator) -> Plan:
        """Choose how the episode begins, put the arm there, and plan from it."""
        draw = random.uniform()
        is_low = draw < _MISSED_SHARE
        if draw < _MISSED_SHARE + _ABOVE_SHARE:
            self._put_arm(random, is_low=is_low)
        objects = self.scene.objects()
        start = self.scene.targets()
        if not is_low:
            return self.expert.plan(objects, start)
        return self.expert.plan(objects, start, rise_first=True)

    def _put_arm(self, random: np.random.Generator, *, is_low: bool) -> None:
        """Somewhere above the table, or low beside the cube with closed jaws, touching nothing."""
        cube = self.scene.objects().cube_position
        for _ in range(50):
            if is_low:
                x, y = cube[:2] + random.uniform(-0.035, 0.035, 2)
                height, gripper = random.uniform(0.015, 0.04), random.uniform(CLOSED_RAD - 0.1, 0.3)
            else:
                radius, azimuth = random.uniform(0.15, 0.24), random.uniform(-0.8, 0.8)
                x, y = PAN_AXIS_XY[0] + radius * np.cos(azimuth), radius * np.sin(azimuth)
                height, gripper = random.uniform(0.06, 0.11), random.uniform(CLOSED_RAD, OPEN_RAD)
            self.scene.set_arm(self.expert.pose((float(x), float(y), float(height)), float(gripper)))
            if not self.scene.is_arm_touching():
                return
        self.scene.reset(self.scene.seed)

    def _noise(self, plan: Plan, random: np.random.Generator) -> FloatArray:
        """Slow random offsets of the arm's targets, T×D, fading where the jaws are near the table."""
        steps, joints = plan.targets_rad.shape
        if random.uniform() < _CALM_SHARE:
            return np.zeros((steps, joints))
        keep = np.exp(-plan.dt_s / _NOISE_TIME_S)
        size = random.uniform(0, _MAX_NOISE_RAD) * np.sqrt(1 - keep**2)
        kicks = random.normal(0, size, (steps, joints))
        noise = np.zeros((steps, joints))
        for step in range(1, steps):
            noise[step] = keep * noise[step - 1] + kicks[step]
        noise[:, self.robot.joint_names.index("gripper")] = 0.0
        return noise * np.clip((self.expert.heights(plan) - 0.02) / 0.05, 0.15, 1.0)[:, None]

    def close(self) -> None:
        """Free the OpenGL context."""
        self.renderer.close()


def camera_of(robot: RobotSpec) -> CameraSpec:
    """The robot's front camera, at the size the policy is fed."""
    return next(camera for camera in robot.cameras if camera.name == CAMERA)
