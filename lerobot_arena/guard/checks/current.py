# SPDX-License-Identifier: Apache-2.0
"""Motors that draw too much."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.guard.checks.hardware_channel import JointChannel, Levels


@dataclass(frozen=True, slots=True)
class CurrentParams:
    """Levels, and how old a reading may be."""

    warn_a: float = bound(1.2, "Where warnings begin.", tighter=LOWER, lowest=0.0, highest=1000.0)
    max_a: float = bound(2.0, "The limit of any joint.", tighter=LOWER, lowest=0.0, highest=1000.0)
    max_age_s: float = bound(
        3.0, "Age by receipt of the latest reading.", tighter=LOWER, lowest=0.1, highest=60.0
    )
    reject_at_warn: bool = bound(
        False,
        "REJECT at the warning level, for a node whose fallback is slow_down; else a warning.",
        tighter=HIGHER,
    )


class Current(JointChannel):
    """FAULT above the limit, and while the declared channel is missing, short, stale or no number; warns before."""

    name: ClassVar[str] = "current"
    params_type: ClassVar[type] = CurrentParams
    channel: ClassVar[str] = "current_a"
    what: ClassVar[str] = "motor current"

    @staticmethod
    def levels(params: CurrentParams) -> Levels:
        return Levels("A", params.warn_a, params.max_a, is_reject_at_warn=params.reject_at_warn)
