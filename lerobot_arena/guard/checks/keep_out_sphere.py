# SPDX-License-Identifier: Apache-2.0
"""The end effector stays out of a sphere in the base frame."""

from dataclasses import dataclass
from math import dist
from typing import ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import HIGHER, bound
from lerobot_arena.guard.checks.protocol import Phase
from lerobot_arena.guard.checks.share_of_step import NOTHING, PathCheck, Violations
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class SphereParams:
    """Where it is."""

    centre_m: tuple[float, ...] = bound((), "Its centre, x, y, z.", length=3)
    radius_m: float = bound(0.1, "Its radius; add what the tool reaches beyond its frame.", tighter=HIGHER,
                            lowest=0.001, highest=10.0)  # fmt: skip

    def __post_init__(self) -> None:
        if not self.centre_m:
            raise InvalidInput("Give centre_m, the sphere's centre, as x, y, z in m.")


class KeepOutSphere(PathCheck):
    """CLAMP a step that would take the end effector into the sphere, or deeper into it."""

    name: ClassVar[str] = "keep_out_sphere"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = SphereParams
    needs_geometry: ClassVar[bool] = True

    params: SphereParams

    def violations(self, joints_rad: Vector) -> Violations:
        depth = self.params.radius_m - dist(self.geometry.pose(joints_rad).position_m, self.params.centre_m)
        return {"sphere": depth} if depth > 0.0 else NOTHING

    def reason(self, joints_rad: Vector) -> str:
        return f"The end effector would enter the sphere about {list(self.params.centre_m)}."
