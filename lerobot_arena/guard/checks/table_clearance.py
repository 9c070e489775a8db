# SPDX-License-Identifier: Apache-2.0
"""No part of the arm goes into the table it stands on."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, bound
from lerobot_arena.guard.checks.protocol import TABLE, WIDEST_MARGIN_M, Phase
from lerobot_arena.guard.checks.share_of_step import PathCheck, Violations, overall
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class TableClearanceParams:
    """How near."""

    margin_m: float = bound(
        0.0,
        "Smallest gap between the table and any part; below 0 a target may lie that deep in it, for servos that yield.",
        tighter=HIGHER,
        lowest=-0.05,
        highest=WIDEST_MARGIN_M,
    )


class TableClearance(PathCheck):
    """CLAMP a step in which a part would come too near to the table, or nearer still."""

    name: ClassVar[str] = "table_clearance"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT
    params_type: ClassVar[type] = TableClearanceParams
    needs_geometry: ClassVar[bool] = True

    params: TableClearanceParams

    def violations(self, joints_rad: Vector) -> Violations:
        return overall(self._depths(joints_rad))

    def _depths(self, joints_rad: Vector) -> dict[str, float]:
        margin_m = self.params.margin_m
        near = self.geometry.near(joints_rad)
        return {
            part: margin_m - gap
            for (first, part), gap in near.items()
            if first == TABLE and not gap >= margin_m
        }

    def reason(self, joints_rad: Vector) -> str:
        return f"Too near to the table: {', '.join(self._depths(joints_rad))}."
