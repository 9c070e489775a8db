# SPDX-License-Identifier: Apache-2.0
"""The tool keeps pointing about one way, such as a full cup upwards or a gripper down."""

from dataclasses import dataclass
from math import acos, degrees, hypot, pi
from typing import ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.guard.checks.protocol import Phase
from lerobot_arena.guard.checks.share_of_step import NOTHING, PathCheck, Violations
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class TiltParams:
    """Which way, and how far off it."""

    direction: tuple[float, ...] = bound((), "Where the tool axis should point in the base frame.", length=3)
    max_tilt_rad: float = bound(0.5, "Largest angle between both.", tighter=LOWER, lowest=0.0, highest=pi)

    def __post_init__(self) -> None:
        if not any(self.direction):
            raise InvalidInput(
                "Give direction, where the tool axis should point, such as [0, 0, -1] for down."
            )


class Tilt(PathCheck):
    """CLAMP a step that would tilt the tool further than allowed, or further than it is."""

    name: ClassVar[str] = "tilt"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = TiltParams
    needs_geometry: ClassVar[bool] = True

    params: TiltParams

    def violations(self, joints_rad: Vector) -> Violations:
        wanted, is_now = self.params.direction, self.geometry.pose(joints_rad).up
        cosine = sum(a * b for a, b in zip(wanted, is_now)) / hypot(*wanted)
        excess = acos(min(max(cosine, -1.0), 1.0)) - self.params.max_tilt_rad
        return {"tilt": excess} if excess > 0.0 else NOTHING

    def reason(self, joints_rad: Vector) -> str:
        return f"The tool would tilt by more than {degrees(self.params.max_tilt_rad):.0f}°."
