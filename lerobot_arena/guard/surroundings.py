# SPDX-License-Identifier: Apache-2.0
"""What one cycle knows of the world around the arm."""

from dataclasses import dataclass

from lerobot_arena.core.hardware import HardwareReading, HostHealth
from lerobot_arena.guard.joint_inbox import Measured


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What other threads know in this cycle. `absence`: why inference gave nothing, should it have given nothing.

    Ages in s on the steady clock, negative before the first message.
    """

    measured: Measured
    foreign_publishers: tuple[str, ...] = ()
    absence: str = ""
    hardware: HardwareReading | None = None
    hardware_age_s: float = -1.0
    host: HostHealth | None = None
    host_age_s: float = -1.0
    embodiment_age_s: float = -1.0
    embodiment_problem: str = ""
