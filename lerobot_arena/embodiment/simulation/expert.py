# SPDX-License-Identifier: Apache-2.0
"""The scripted expert: it is told where cube and tray are, and plans one smooth path of joint targets.

Waypoints above the table, inverse kinematics at each of them, and between two of them a path in (radius, azimuth,
height) with the minimum-jerk profile 10s³ − 15s⁴ + 6s⁵ (Flash and Hogan 1985), slowed down until the joints keep
the expert's own rates, which lie below the robot's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, cos, hypot, sin
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.embodiment.simulation.kinematics import ARM_JOINTS, Kinematics
from lerobot_arena.embodiment.simulation.layout import PAN_AXIS_XY
from lerobot_arena.embodiment.simulation.scene import HOME_RAD, Objects

OPEN_RAD = 0.9
CLOSED_RAD = 0.0
_ROLL_RAD = HOME_RAD["wrist_roll"]
# A gripper that leans outward by 14° keeps wrist_flex off its limit over the whole table.
_LEAN_RAD = 0.245
_GRASP_HEIGHT_M = 0.014
# The jaws close from one side and hang a little to the other: aim where a wrong guess costs least either way.
_AIM_OUTWARD_M, _AIM_LEFT_M = 0.001, -0.005
_HOVER_HEIGHT_M = 0.075
_RELEASE_HEIGHT_M = 0.04
_MAX_VELOCITY_RAD_S = 2.2
_MAX_ACCELERATION_RAD_S2 = 14.0
_GRIPPER_RATE_RAD_S = 3.0
# Peak velocity and acceleration of the minimum-jerk profile, per unit of distance and time.
_PEAK_VELOCITY, _PEAK_ACCELERATION = 1.875, 5.774


@dataclass(frozen=True, slots=True)
class Waypoint:
    """Where the jaws should be (metres, base frame), how open, and how long to wait there."""

    position_m: tuple[float, float, float]
    gripper_rad: float
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Joint targets, T×D radians in the robot's order, one every `dt_s`."""

    targets_rad: FloatArray
    dt_s: float


def _ease(steps: int) -> FloatArray:
    share = np.arange(1, steps + 1) / steps
    return share**3 * (10 - 15 * share + 6 * share**2)


class Expert:
    """Plans for one robot and model. Stateless between plans."""

    def __init__(self, robot: RobotSpec, model: Any, *, dt_s: float = 1 / 30) -> None:
        self._robot = robot
        self._kinematics = Kinematics(model)
        self._dt_s = dt_s
        self._to_robot = robot.order((*ARM_JOINTS, "gripper"), "The expert")

    def plan(
        self, objects: Objects, start_rad: FloatArray, *, rise_first: bool = False, settle_s: float = 0.5
    ) -> Plan:
        """The whole episode from the robot's present targets, ending at home for `settle_s`.

        `rise_first` opens and lifts the jaws where they are, before they go to the cube.
        """
        cube = tuple(float(value) for value in objects.cube_position[:2])
        waypoints = self.waypoints(cube, (objects.tray.x_m, objects.tray.y_m))
        if rise_first:
            x, y, _ = self._tip(start_rad)
            waypoints.insert(0, Waypoint((x, y, _HOVER_HEIGHT_M), OPEN_RAD))
        return self.follow(waypoints, start_rad, settle_s=settle_s)

    def pose(self, position_m: tuple[float, float, float], gripper_rad: float) -> FloatArray:
        """Joint targets, D radians in the robot's order, with the jaws at a point."""
        start = np.array([HOME_RAD[name] for name in ARM_JOINTS])
        start[0] = atan2(position_m[1] - PAN_AXIS_XY[1], position_m[0] - PAN_AXIS_XY[0])
        reach = self._kinematics.reach(np.array(position_m), _ROLL_RAD, start, lean_rad=_LEAN_RAD)
        return np.append(reach.joints_rad, gripper_rad)[self._to_robot]

    def heights(self, plan: Plan) -> FloatArray:
        """How high the jaws are over the table, metres, at each step of a plan."""
        return np.array([self._tip(targets)[2] for targets in plan.targets_rad])

    def _tip(self, targets_rad: FloatArray) -> tuple[float, float, float]:
        arm = np.asarray(targets_rad)[np.argsort(self._to_robot)][:5]
        x, y, z = self._kinematics.tip(dict(zip(ARM_JOINTS, arm, strict=True)))
        return float(x), float(y), float(z)

    def waypoints(self, cube: Sequence[float], tray: Sequence[float]) -> list[Waypoint]:
        """Above the cube, down, close, up, above the tray, down, open, up."""
        x, y = _aim(cube[0], cube[1])
        tray_x, tray_y = tray[:2]
        return [
            Waypoint((x, y, _HOVER_HEIGHT_M), OPEN_RAD),
            Waypoint((x, y, _GRASP_HEIGHT_M), OPEN_RAD),
            Waypoint((x, y, _GRASP_HEIGHT_M), CLOSED_RAD, 0.1),
            Waypoint((x, y, _HOVER_HEIGHT_M), CLOSED_RAD),
            Waypoint((tray_x, tray_y, _HOVER_HEIGHT_M), CLOSED_RAD),
            Waypoint((tray_x, tray_y, _RELEASE_HEIGHT_M), CLOSED_RAD),
            Waypoint((tray_x, tray_y, _RELEASE_HEIGHT_M), OPEN_RAD, 0.1),
            Waypoint((tray_x, tray_y, _HOVER_HEIGHT_M + 0.02), OPEN_RAD),
        ]

    def follow(self, waypoints: Sequence[Waypoint], start_rad: FloatArray, *, settle_s: float = 0.5) -> Plan:
        """Targets through all waypoints, then home. `start_rad`: D radians in the robot's order."""
        start = np.asarray(start_rad, dtype=np.float64)[np.argsort(self._to_robot)]
        arm, gripper = start[:5], float(start[5])
        position = self._tip(start_rad)
        pieces = []
        for waypoint in waypoints:
            piece = self._segment(arm, gripper, position, waypoint)
            pieces.append(piece)
            arm, gripper, position = piece[-1, :5], float(piece[-1, 5]), waypoint.position_m
        home = np.array([HOME_RAD[name] for name in (*ARM_JOINTS, "gripper")])
        pieces.append(self._direct(np.append(arm, gripper), home))
        pieces.append(np.repeat(home[None], self._steps(settle_s), axis=0))
        return Plan(np.concatenate(pieces)[:, self._to_robot], self._dt_s)

    def _steps(self, seconds: float) -> int:
        return max(int(np.ceil(seconds / self._dt_s - 1e-9)), 0)

    def _duration_s(self, change: FloatArray) -> float:
        """How long the minimum-jerk profile must take for joint changes of this size."""
        largest = float(np.abs(change).max())
        by_velocity = _PEAK_VELOCITY * largest / _MAX_VELOCITY_RAD_S
        by_acceleration = np.sqrt(_PEAK_ACCELERATION * largest / _MAX_ACCELERATION_RAD_S2)
        return max(by_velocity, float(by_acceleration), 2 * self._dt_s)

    def _direct(self, start: FloatArray, goal: FloatArray) -> FloatArray:
        steps = self._steps(self._duration_s(goal - start))
        return start + _ease(steps)[:, None] * (goal - start)

    def _segment(
        self, arm: FloatArray, gripper: float, position: Sequence[float], waypoint: Waypoint
    ) -> FloatArray:
        """T×6 targets from one pose to a waypoint: first the arm, or the gripper when the arm is there already."""
        goal = self._kinematics.reach(
            np.array(waypoint.position_m), _ROLL_RAD, arm, lean_rad=_LEAN_RAD
        ).joints_rad
        wait = self._steps(waypoint.wait_s)
        grip_s = _PEAK_VELOCITY * abs(waypoint.gripper_rad - gripper) / _GRIPPER_RATE_RAD_S
        steps = self._steps(max(self._duration_s(goal - arm) * 1.15, grip_s))
        ease = _ease(steps)
        path = self._arm_path(arm, position, waypoint.position_m, ease)
        path[-1] = goal
        grip = gripper + ease * (waypoint.gripper_rad - gripper)
        moved = np.column_stack([path, grip])
        return np.concatenate([moved, np.repeat(moved[-1:], wait, axis=0)])

    def _arm_path(
        self, arm: FloatArray, start: Sequence[float], end: Sequence[float], ease: FloatArray
    ) -> FloatArray:
        """Joints along a path straight in (radius, azimuth, height) about the pan axis, starting from `arm`."""
        here, there = _cylindrical(start), _cylindrical(end)
        # The start pose may lean otherwise than the expert does: fade its difference out along the way.
        first = self._kinematics.reach(np.array(start), _ROLL_RAD, arm, lean_rad=_LEAN_RAD).joints_rad
        joints, path = first, []
        for share in ease:
            point = _cartesian(here + share * (there - here))
            joints = self._kinematics.reach(point, _ROLL_RAD, joints, lean_rad=_LEAN_RAD, steps=8).joints_rad
            path.append(joints + (1 - share) * (arm - first))
        return np.array(path)


def _aim(x_m: float, y_m: float) -> tuple[float, float]:
    azimuth = atan2(y_m - PAN_AXIS_XY[1], x_m - PAN_AXIS_XY[0])
    return (
        x_m + _AIM_OUTWARD_M * cos(azimuth) - _AIM_LEFT_M * sin(azimuth),
        y_m + _AIM_OUTWARD_M * sin(azimuth) + _AIM_LEFT_M * cos(azimuth),
    )


def _cylindrical(position: Sequence[float]) -> FloatArray:
    x, y = position[0] - PAN_AXIS_XY[0], position[1] - PAN_AXIS_XY[1]
    return np.array([hypot(x, y), atan2(y, x), position[2]])


def _cartesian(cylindrical: FloatArray) -> FloatArray:
    radius, azimuth, height = cylindrical
    return np.array([PAN_AXIS_XY[0] + radius * cos(azimuth), PAN_AXIS_XY[1] + radius * sin(azimuth), height])
