# SPDX-License-Identifier: Apache-2.0
"""Does a policy fit its session and its robot? Each check names the difference and what to change."""

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.units import RADIANS
from lerobot_arena.inference.manifest import CameraInput

# Training data reaches a little beyond the calibrated range; twice as far is another unit.
MAX_NORMALIZED = 150.0
MAX_DEGREES = 540.0
MAX_RADIANS = 4 * pi


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names` when none occurs twice. Raises PolicyError."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PolicyError(f"joint_names has {sorted(twice)[0]!r} twice.")
    return names


def joint_names_on(robot: RobotSpec | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """`names` in their own order, as the robot calls them. Raises InvalidInput naming unknown and missing joints."""
    if robot is None:
        return names
    found = [""] * len(names)
    for name, position in zip(robot.joint_names, robot.order(names, "The policy"), strict=True):
        found[position] = name
    return tuple(found)


def check_unit_on(robot: RobotSpec | None, unit: str) -> None:
    """Raise InvalidInput when the robot's calibration cannot map the policy's unit."""
    if robot is not None:
        robot.affine(unit)


def check_unit_fits(unit: str, stats: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    """Raise PolicyError when the values of the training data cannot be in `unit`."""
    reach = np.zeros(0)
    for entry in stats.values():
        if "min" in entry and "max" in entry:
            values = np.maximum(np.abs(np.ravel(entry["min"])), np.abs(np.ravel(entry["max"])))
        elif "mean" in entry and "std" in entry:
            values = np.abs(np.ravel(entry["mean"])) + np.ravel(entry["std"])
        else:
            continue
        if values.shape == (len(names),):
            reach = np.maximum(reach, values) if reach.size else values
    if not reach.size:
        return
    worst = int(reach.argmax())
    limit = {RADIANS: MAX_RADIANS, "degrees": MAX_DEGREES}.get(unit, MAX_NORMALIZED)
    if reach[worst] > limit:
        raise PolicyError(
            f"The unit is said to be {unit}, but the training data of {names[worst]} reaches {reach[worst]:.0f}: "
            "set the unit it was recorded in."
        )
    if unit != RADIANS and reach[worst] <= pi:
        raise PolicyError(
            f"The unit is said to be {unit}, but no joint's training data goes beyond {reach[worst]:.2f}, which looks "
            "like radians: set the unit it was recorded in."
        )


def check_cameras(cameras: Sequence[CameraInput], offered: Sequence[str], robot: RobotSpec | None) -> None:
    """Raise PolicyError when the session lacks a camera the policy needs, or the robot's has another size."""
    missing = [camera.name for camera in cameras if camera.name not in offered]
    if missing:
        raise PolicyError(
            f"The policy needs the cameras {', '.join(c.name for c in cameras)}; the session has "
            f"{', '.join(offered) or 'none'}. Missing in camera_names: {', '.join(missing)}."
        )
    specs = {spec.name: spec for spec in robot.cameras} if robot else {}
    for camera in cameras:
        spec = specs.get(camera.name)
        if spec is not None and (spec.height, spec.width) != (camera.height, camera.width):
            raise PolicyError(
                f"Camera {camera.name!r} of {robot.name if robot else ''} gives {spec.width}×{spec.height} frames; the "
                f"policy takes {camera.width}×{camera.height}. Set the camera's size in the robot file, or export the "
                "policy with the resize it was trained with."
            )


def check_task(takes_task: bool, task: str, policy_type: str) -> None:
    """Raise PolicyError when a policy that follows words got none."""
    if takes_task and not task.strip():
        raise PolicyError(f"{policy_type!r} policies follow an instruction: set language_instruction.")
