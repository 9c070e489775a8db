# SPDX-License-Identifier: Apache-2.0
"""Between our radians in the robot file's order and the features a LeRobot robot reads and writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.units import DEGREES, NORMALIZED
from lerobot_arena.embodiment.calibration import MotorRange, check_calibration, motor_of

_UNIT_OF_MODE = {"range_m100_100": NORMALIZED, "range_0_100": NORMALIZED, "degrees": DEGREES}


def parts_of(device: Any) -> list[tuple[str, Any]]:
    """(prefix of its motors' names, device) for each arm of a LeRobot robot."""
    arms = [(f"{side}_", getattr(device, f"{side}_arm", None)) for side in ("left", "right")]
    return [(prefix, arm) for prefix, arm in arms if arm is not None] or [("", device)]


@dataclass(frozen=True, slots=True)
class JointMap:
    """rad = offset + scale · value for the feature of each joint; `still` are features that are no joint."""

    keys: tuple[str, ...]
    scale: FloatArray
    offset: FloatArray
    still: Mapping[str, float]

    def action(self, positions: FloatArray) -> dict[str, float]:
        """What `Robot.send_action` takes, from radians."""
        values = ((positions - self.offset) / self.scale).tolist()
        return {**dict(zip(self.keys, values, strict=True)), **self.still}

    def positions(self, observation: Mapping[str, Any]) -> FloatArray:
        """Radians from what `Robot.get_observation` gave."""
        return self.offset + self.scale * np.array([float(observation[key]) for key in self.keys])


def map_joints(robot: RobotSpec, device: Any, unit: str) -> JointMap:
    """Find each joint's feature and unit. `unit` overrides what the motors say.

    Raises InvalidInput when a joint has no feature, a feature is no joint, or the unit cannot be known.
    """
    features = list(device.action_features)
    positions = {name.removesuffix(".pos"): name for name in features if name.endswith(".pos")}
    motors = [motor_of(joint, positions) for joint in robot.joints]
    rest = [name for name in features if name not in {positions[motor] for motor in motors}]
    if moving := [name for name in rest if not name.endswith(".vel")]:
        raise InvalidInput(
            f"The robot also takes {', '.join(moving)}, which the robot file {robot.name!r} does not name."
        )
    units = _units(device)
    chosen = [unit or units.get(motor, "") for motor in motors]
    if not all(chosen):
        raise InvalidInput(
            f"It is not known in which unit {device.name} speaks: set robot_unit to normalized, degrees or radians."
        )
    pairs = [
        joint.scale.affine(each) for joint, each in zip(robot.joints, chosen, strict=True)
    ]  # affine refuses a unit it does not know
    return JointMap(
        tuple(positions[motor] for motor in motors),
        np.array([pair[0] for pair in pairs]),
        np.array([pair[1] for pair in pairs]),
        dict.fromkeys(rest, 0.0),
    )


def _units(device: Any) -> dict[str, str]:
    """Motor → unit, as each bus normalises it."""
    units = {}
    for prefix, part in parts_of(device):
        for name, motor in getattr(getattr(part, "bus", None), "motors", {}).items():
            mode = getattr(motor, "norm_mode", None)
            units[prefix + name] = _UNIT_OF_MODE.get(str(getattr(mode, "value", mode)), "")
    return units


def check_stored_calibration(robot: RobotSpec, device: Any, joints: JointMap) -> None:
    """Refuse a robot whose calibration is missing, differs from the robot file's, or cannot be expressed.

    Raises InvalidInput with the remedy. A robot without a bus of its own is asked after it is connected.
    """
    ranges: dict[str, MotorRange] = {}
    for prefix, part in parts_of(device):
        if getattr(part, "bus", None) is None:
            return
        if not part.calibration:
            raise InvalidInput(
                f"{part.calibration_fpath} does not exist, so {part.name} {part.id or ''} has no calibration: run "
                f"`lerobot-calibrate --robot.type={part.name} --robot.port=… --robot.id={part.id or '…'}` first."
            )
        for name, entry in part.calibration.items():
            ranges[prefix + name] = MotorRange(
                int(entry.range_min), int(entry.range_max), int(entry.drive_mode)
            )
    check_calibration(robot, ranges)
    units = _units(device)
    for joint in robot.joints:
        motor = motor_of(joint, ranges)
        if ranges[motor].drive_mode and units.get(motor) == DEGREES:
            raise InvalidInput(
                f"Motor {motor} is calibrated with drive_mode 1, which LeRobot's degrees ignore: set use_degrees to "
                "false in the robot configuration, or calibrate again."
            )
