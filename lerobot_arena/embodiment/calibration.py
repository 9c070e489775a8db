# SPDX-License-Identifier: Apache-2.0
"""LeRobot's calibration files, and the robot files made from them. Pure: no bus, no LeRobot.

LeRobot counts encoder steps. `degrees` are steps from the middle of the calibrated range times 360/(resolution − 1),
`normalized` runs from range_min to range_max (lerobot/motors/motors_bus.py, `_normalize`). We anchor the middle of the
range where the base robot's file has the middle of its own (a gripper: closed to closed), so that radians mean the
same as in the robot's URDF as far as the person who calibrated moved each joint from stop to stop.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import copysign, pi
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import JointSpec, RobotSpec
from lerobot_arena.core.units import JointScale

RESOLUTION = 4096
MOST_DIFFERENCE_RAD = 0.01
_REMEDY = "write it again with `arena robot add --calibration`"


@dataclass(frozen=True, slots=True)
class MotorRange:
    """One motor's entry of a calibration file, in encoder steps."""

    range_min: int
    range_max: int
    drive_mode: int = 0

    def half_rad(self, resolution: int = RESOLUTION) -> float:
        """Half of the calibrated range in radians."""
        return (self.range_max - self.range_min) * pi / (resolution - 1)


def load_calibration(path: Path) -> dict[str, MotorRange]:
    """LeRobot's `<id>.json`. Raises InvalidInput naming what is wrong with it."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The calibration {path} cannot be read ({error}); make it with `lerobot-calibrate`."
        ) from error
    if not isinstance(data, dict) or not data:
        raise InvalidInput(f"The calibration {path} names no motor; make it with `lerobot-calibrate`.")
    return {str(motor): _range(entry, f"{path}, motor {motor}") for motor, entry in data.items()}


def _range(entry: Any, where: str) -> MotorRange:
    values: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
    low, high, drive_mode = values.get("range_min"), values.get("range_max"), values.get("drive_mode", 0)
    if not (_is_whole(low) and _is_whole(high) and _is_whole(drive_mode)):
        raise InvalidInput(f"{where}: range_min, range_max and drive_mode must be whole numbers.")
    assert low is not None and high is not None
    if low >= high:
        raise InvalidInput(f"{where}: range_min {low} is not below range_max {high}.")
    return MotorRange(low, high, drive_mode)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def motor_of(joint: JointSpec, motors: Iterable[str]) -> str:
    """The motor that moves `joint`: its name, an alias, or the only one that ends with it (LeKiwi's `arm_…`).

    Raises InvalidInput when there is none or more than one.
    """
    names = list(motors)
    for name in (joint.name, *joint.aliases):
        if name in names:
            return name
    ending = [name for name in names if name.endswith(f"_{joint.name}")]
    if len(ending) != 1:
        raise InvalidInput(
            f"Joint {joint.name!r} of the robot file has no motor of its own among {', '.join(names)}."
        )
    return ending[0]


def robot_spec_from_calibration(
    base: RobotSpec, calibration: Mapping[str, MotorRange], *, name: str = "", resolution: int = RESOLUTION
) -> RobotSpec:
    """`base` with the ranges of a calibration; limits become the narrower of both.

    Raises InvalidInput for a joint without a motor, or one whose limits and calibrated range do not meet.
    """
    joints = tuple(
        _calibrated(joint, calibration[motor_of(joint, calibration)], resolution) for joint in base.joints
    )
    return replace(base, name=name or base.name, joints=joints, is_calibrated=True)


def _calibrated(joint: JointSpec, motor: MotorRange, resolution: int) -> JointSpec:
    nominal, half = joint.scale, motor.half_rad(resolution)
    sign = copysign(1.0, nominal.upper_rad - nominal.lower_rad)
    if nominal.is_gripper:
        lower = nominal.lower_rad
    else:
        lower = (nominal.lower_rad + nominal.upper_rad) / 2 - sign * half
    upper = lower + sign * 2 * half
    scale = JointScale(lower, upper, (lower + upper) / 2, nominal.is_gripper)
    low, high = max(joint.lower_rad, min(lower, upper)), min(joint.upper_rad, max(lower, upper))
    if low >= high:
        raise InvalidInput(
            f"Joint {joint.name!r} was calibrated from {lower:.2f} to {upper:.2f} rad, outside its limits of "
            f"{joint.lower_rad:.2f} to {joint.upper_rad:.2f} rad: calibrate it from stop to stop."
        )
    return replace(joint, lower_rad=low, upper_rad=high, scale=scale)


def check_calibration(
    robot: RobotSpec, calibration: Mapping[str, MotorRange], resolution: int = RESOLUTION
) -> None:
    """Raise InvalidInput unless the robot file's ranges are those of the calibration the arm uses."""
    if not robot.is_calibrated:
        raise InvalidInput(f"The robot file {robot.name!r} has no calibration: {_REMEDY}.")
    for joint in robot.joints:
        motor = calibration[motor_of(joint, calibration)]
        span = abs(joint.scale.upper_rad - joint.scale.lower_rad)
        if abs(span - 2 * motor.half_rad(resolution)) > MOST_DIFFERENCE_RAD:
            raise InvalidInput(
                f"The robot file {robot.name!r} gives {joint.name} a range of {span:.3f} rad, the arm's calibration "
                f"{2 * motor.half_rad(resolution):.3f} rad: {_REMEDY}."
            )


def robot_file_text(robot: RobotSpec) -> str:
    """The robot file (YAML) that `load_robot` reads back as `robot`."""
    import yaml

    joints = [
        {
            "name": joint.name,
            "lower_rad": joint.lower_rad,
            "upper_rad": joint.upper_rad,
            "max_velocity_rad_s": joint.max_velocity_rad_s,
            "max_acceleration_rad_s2": joint.max_acceleration_rad_s2,
            "range_lower_rad": joint.scale.lower_rad,
            "range_upper_rad": joint.scale.upper_rad,
            "zero_rad": joint.scale.zero_rad,
            "is_gripper": joint.scale.is_gripper,
            "aliases": list(joint.aliases),
        }
        for joint in robot.joints
    ]
    cameras = {c.name: {"width": c.width, "height": c.height, "rate_hz": c.rate_hz} for c in robot.cameras}
    data = {
        "name": robot.name,
        "description": robot.description,
        "is_calibrated": robot.is_calibrated,
        "cameras": cameras,
        "joints": joints,
    }
    if robot.model is not None:
        data["model"] = robot.model.mapping()
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return text
