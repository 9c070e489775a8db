# SPDX-License-Identifier: Apache-2.0
"""What a robot's sensors and its computer say of their health."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HardwareReading:
    """msg/HardwareReading; a channel that the robot does not have is empty. Per joint, but force and torque: x y z."""

    stamp_ns: int = 0
    joint_names: tuple[str, ...] = ()
    temperature_c: tuple[float, ...] = ()
    current_a: tuple[float, ...] = ()
    voltage_v: tuple[float, ...] = ()
    force_n: tuple[float, ...] = ()
    torque_nm: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class HostHealth:
    """The guard's own machine; what it does not tell is None."""

    cpu_percent: float | None = None
    memory_percent: float | None = None
    temperature_c: float | None = None
    disk_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One number about an observation that only its pixels can give (msg/Score); suspicious above `threshold`."""

    name: str
    value: float
    threshold: float
