# SPDX-License-Identifier: Apache-2.0
"""The arm does not touch itself."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, bound
from lerobot_arena.guard.checks.protocol import TABLE, WIDEST_MARGIN_M, Phase
from lerobot_arena.guard.checks.share_of_step import PathCheck, Violations, overall
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class SelfCollisionParams:
    """How near parts may come."""

    margin_m: float = bound(0.002, "Smallest gap between two parts that are no neighbours.", tighter=HIGHER,
                            lowest=0.0, highest=WIDEST_MARGIN_M)  # fmt: skip


class SelfCollision(PathCheck):
    """CLAMP a step in which two parts of the arm would come too near to each other, or nearer still."""

    name: ClassVar[str] = "self_collision"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = SelfCollisionParams
    needs_geometry: ClassVar[bool] = True

    params: SelfCollisionParams

    def violations(self, joints_rad: Vector) -> Violations:
        return overall(self._depths(joints_rad))

    def _depths(self, joints_rad: Vector) -> dict[str, float]:
        margin_m = self.params.margin_m
        near = self.geometry.near(joints_rad)
        return {
            f"{first} and {other}": margin_m - gap
            for (first, other), gap in near.items()
            if not gap >= margin_m and first != TABLE
        }

    def reason(self, joints_rad: Vector) -> str:
        return f"The arm would touch itself: {', '.join(self._depths(joints_rad))}."
