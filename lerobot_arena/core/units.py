# SPDX-License-Identifier: Apache-2.0
"""The units joints are spoken in, and the one mapping between each of them and radians.

`normalized` is LeRobot's RANGE_M100_100 for arm joints and RANGE_0_100 for grippers; `degrees` keeps 0..100 for
grippers, as LeRobot's use_degrees does. Zero degrees is the middle of the calibrated range.
Sources: lerobot/motors/motors_bus.py (MotorNormMode), REP-103.
"""

from dataclasses import dataclass
from math import degrees, isfinite, radians

from lerobot_arena.core.errors import InvalidInput

NORMALIZED = "normalized"
DEGREES = "degrees"
RADIANS = "radians"
UNITS = (NORMALIZED, DEGREES, RADIANS)


def check_unit(unit: str) -> str:
    """Return `unit` when it is one of UNITS. Raises InvalidInput."""
    if unit not in UNITS:
        raise InvalidInput(f"Unit {unit!r} is unknown: use one of {', '.join(UNITS)}.")
    return unit


@dataclass(frozen=True, slots=True)
class JointScale:
    """How one joint's units relate: rad = offset + scale·value, per unit.

    `lower_rad` and `upper_rad` are the radians at both ends of the calibrated range (normalized −100 and 100, or
    gripper 0 and 100); upper may be below lower for a reversed joint. `zero_rad` is where degrees count from.
    """

    lower_rad: float
    upper_rad: float
    zero_rad: float = 0.0
    is_gripper: bool = False

    def __post_init__(self) -> None:
        if not (isfinite(self.lower_rad) and isfinite(self.upper_rad)) or self.lower_rad == self.upper_rad:
            raise ValueError(
                f"A joint's range must be finite and not empty: {self.lower_rad} to {self.upper_rad}."
            )

    def affine(self, unit: str) -> tuple[float, float]:
        """(scale, offset) with rad = offset + scale·value."""
        check_unit(unit)
        span = self.upper_rad - self.lower_rad
        if unit == RADIANS:
            return 1.0, 0.0
        if self.is_gripper:
            return span / 100.0, self.lower_rad
        if unit == NORMALIZED:
            return span / 200.0, (self.lower_rad + self.upper_rad) / 2.0
        return radians(1.0) * (1.0 if span > 0 else -1.0), self.zero_rad

    def limits(self, unit: str, lower_rad: float, upper_rad: float) -> tuple[float, float]:
        """Radian limits in `unit`, ordered."""
        scale, offset = self.affine(unit)
        ends = ((lower_rad - offset) / scale, (upper_rad - offset) / scale)
        return min(ends), max(ends)


def describe_unit(unit: str) -> str:
    """For a person."""
    return {
        NORMALIZED: "-100..100, gripper 0..100",
        DEGREES: f"degrees (1 rad = {degrees(1.0):.3f}), gripper 0..100",
        RADIANS: "radians",
    }[check_unit(unit)]
