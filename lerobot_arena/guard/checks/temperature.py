# SPDX-License-Identifier: Apache-2.0
"""Motors that get too hot."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.guard.checks.hardware_channel import JointChannel, Levels


@dataclass(frozen=True, slots=True)
class TemperatureParams:
    """Levels, and how old a reading may be."""

    warn_c: float = bound(55.0, "Where warnings begin.", tighter=LOWER, lowest=0.0, highest=150.0)
    max_c: float = bound(65.0, "The limit of any joint.", tighter=LOWER, lowest=0.0, highest=150.0)
    max_age_s: float = bound(
        3.0, "Age by receipt of the latest reading.", tighter=LOWER, lowest=0.1, highest=60.0
    )
    reject_at_warn: bool = bound(
        False,
        "REJECT at the warning level, for a node whose fallback is slow_down; else a warning.",
        tighter=HIGHER,
    )


class Temperature(JointChannel):
    """FAULT above the limit, and while the declared channel is missing, short, stale or no number; warns before."""

    name: ClassVar[str] = "temperature"
    params_type: ClassVar[type] = TemperatureParams
    channel: ClassVar[str] = "temperature_c"
    what: ClassVar[str] = "motor temperature"

    @staticmethod
    def levels(params: TemperatureParams) -> Levels:
        return Levels("°C", params.warn_c, params.max_c, is_reject_at_warn=params.reject_at_warn)
