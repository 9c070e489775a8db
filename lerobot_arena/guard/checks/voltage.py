# SPDX-License-Identifier: Apache-2.0
"""A supply that sags, or is the wrong one."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.guard.checks.hardware_channel import JointChannel, Levels


@dataclass(frozen=True, slots=True)
class VoltageParams:
    """Levels, and how old a reading may be."""

    min_v: float = bound(
        10.0, "The lower limit of any joint; the defaults are for 12 V.", tighter=HIGHER, lowest=0.0
    )
    warn_below_v: float = bound(11.0, "Where warnings begin.", tighter=HIGHER, lowest=0.0)
    warn_above_v: float = bound(12.8, "Where warnings begin.", tighter=LOWER, lowest=0.0)
    max_v: float = bound(13.5, "The upper limit of any joint.", tighter=LOWER, lowest=0.0)
    max_age_s: float = bound(
        3.0, "Age by receipt of the latest reading.", tighter=LOWER, lowest=0.1, highest=60.0
    )
    reject_at_warn: bool = bound(
        False,
        "REJECT at the warning level, for a node whose fallback is slow_down; else a warning.",
        tighter=HIGHER,
    )


class Voltage(JointChannel):
    """FAULT outside the limits, and while the declared channel is missing, short, stale or no number; warns before."""

    name: ClassVar[str] = "voltage"
    params_type: ClassVar[type] = VoltageParams
    channel: ClassVar[str] = "voltage_v"
    what: ClassVar[str] = "supply voltage"

    @staticmethod
    def levels(params: VoltageParams) -> Levels:
        return Levels(
            "V", params.warn_above_v, params.max_v, params.warn_below_v, params.min_v, params.reject_at_warn
        )
