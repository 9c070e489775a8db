# SPDX-License-Identifier: Apache-2.0
"""What the cycles of a file were."""

from collections.abc import Mapping
from dataclasses import dataclass

from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.glance import glance


@dataclass(slots=True)
class CycleTally:
    """Counts of one file or recording; ids are -1 without cycles."""

    total: int = 0
    violations: int = 0
    clamps: int = 0
    first_id: int = -1
    last_id: int = -1

    def saw(self, data: bytes) -> int:
        """Count a serialised cycle; returns its decision, PASS of what is none."""
        self.total += 1
        if (seen := glance(data)) is None:
            return int(Decision.PASS)
        self.violations += seen.is_violation
        self.clamps += seen.is_clamp
        self.first_id = seen.cycle_id if self.first_id < 0 else self.first_id
        self.last_id = seen.cycle_id
        return seen.decision

    def add(self, other: "CycleTally") -> None:
        """Count another file's cycles too."""
        self.total += other.total
        self.violations += other.violations
        self.clamps += other.clamps
        if other.total:
            self.first_id = other.first_id if self.first_id < 0 else self.first_id
            self.last_id = other.last_id

    def as_record(self) -> dict[str, str]:
        """For a metadata record."""
        return {
            "total_cycles": str(self.total),
            "violation_cycles": str(self.violations),
            "clamp_cycles": str(self.clamps),
            "first_cycle_id": str(self.first_id),
            "last_cycle_id": str(self.last_id),
        }

    @staticmethod
    def from_record(record: Mapping[str, str]) -> "CycleTally | None":
        """From `as_record`; None when it is not one."""
        try:
            return CycleTally(*(int(record[key]) for key in CycleTally().as_record()))
        except (KeyError, ValueError):
            return None
