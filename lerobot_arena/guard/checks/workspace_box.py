# SPDX-License-Identifier: Apache-2.0
"""The end effector stays inside a box in the base frame."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.guard.checks.protocol import Phase
from lerobot_arena.guard.checks.share_of_step import PathCheck, Violations
from lerobot_arena.guard.limiter import Vector

_AXES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class BoxParams:
    """Two opposite corners."""

    lower_m: tuple[float, ...] = bound((), "Corner with the lowest x, y, z.", tighter=HIGHER, length=3)
    upper_m: tuple[float, ...] = bound((), "Corner with the highest x, y, z.", tighter=LOWER, length=3)

    def __post_init__(self) -> None:
        check_box(self.lower_m, self.upper_m, "lower_m", "upper_m")


def check_box(lower_m: Vector, upper_m: Vector, lower_name: str, upper_name: str) -> None:
    """Raise InvalidInput unless both corners are there, the lower one below the upper one."""
    if not lower_m or not upper_m:
        raise InvalidInput(f"Give both corners of the box, {lower_name} and {upper_name}, as x, y, z in m.")
    if any(low >= high for low, high in zip(lower_m, upper_m)):
        raise InvalidInput(
            f"{lower_name} {list(lower_m)} is not below {upper_name} {list(upper_m)} on every axis."
        )


def outside(position_m: Vector, lower_m: Vector, upper_m: Vector) -> dict[str, float]:
    """Axis → by how many metres the position is out of the box; empty inside."""
    found = {}
    for axis, value, low, high in zip(_AXES, position_m, lower_m, upper_m):
        if value < low:
            found[axis] = low - value
        elif value > high:
            found[axis] = value - high
    return found


class WorkspaceBox(PathCheck):
    """CLAMP a step that would take the end effector out of the box, or further out."""

    name: ClassVar[str] = "workspace_box"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = BoxParams
    needs_geometry: ClassVar[bool] = True

    params: BoxParams

    def violations(self, joints_rad: Vector) -> Violations:
        return outside(self.geometry.pose(joints_rad).position_m, self.params.lower_m, self.params.upper_m)

    def reason(self, joints_rad: Vector) -> str:
        return f"The end effector would leave its workspace in {', '.join(self.violations(joints_rad))}."
