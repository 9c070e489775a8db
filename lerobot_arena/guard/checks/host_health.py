# SPDX-License-Identifier: Apache-2.0
"""A machine that is about to fail the guard."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import HostHealth
from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.hardware_channel import Levels, grade
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, Phase

_MB = 1_000_000
CHANNELS = ("cpu", "memory", "temperature", "disk")


@dataclass(frozen=True, slots=True)
class HostHealthParams:
    """Limits. The processor's is off: what a busy one does to control is late cycles, which the core check sees."""

    warn_cpu_percent: float = bound(100.0, "Where warnings begin.", tighter=LOWER, lowest=0.0, highest=100.0)
    max_cpu_percent: float = bound(
        100.0, "The limit; 100 is never exceeded.", tighter=LOWER, lowest=0.0, highest=100.0
    )
    warn_memory_percent: float = bound(
        90.0, "Where warnings begin.", tighter=LOWER, lowest=0.0, highest=100.0
    )
    max_memory_percent: float = bound(97.0, "The limit.", tighter=LOWER, lowest=0.0, highest=100.0)
    warn_temperature_c: float = bound(90.0, "Where warnings begin.", tighter=LOWER, lowest=0.0, highest=150.0)
    max_temperature_c: float = bound(
        98.0, "The limit of any sensor.", tighter=LOWER, lowest=0.0, highest=150.0
    )
    warn_disk_free_mb: int = bound(500, "Where warnings begin.", tighter=HIGHER, lowest=0)
    min_disk_free_mb: int = bound(50, "The limit.", tighter=HIGHER, lowest=0)
    max_age_s: float = bound(10.0, "Age of the latest look.", tighter=LOWER, lowest=1.5, highest=60.0)
    required: tuple[str, ...] = bound(
        (), "Of cpu, memory, temperature and disk: what the machine has to tell."
    )


class HostHealthLimit(Check):
    """FAULT beyond a limit, while nobody looks, and when the machine does not tell what is required; warns before.

    What it does not tell and is not required is not judged.
    """

    name: ClassVar[str] = "host_health"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = HostHealthParams

    params: HostHealthParams

    def __init__(self, params: HostHealthParams, body: Body) -> None:
        super().__init__(params, body)
        for channel in params.required:
            if channel not in CHANNELS:
                raise InvalidInput(
                    f"required: there is no {channel!r}.{strict.did_you_mean(channel, CHANNELS)}"
                )
        self._levels = {
            "cpu": Levels("% busy", params.warn_cpu_percent, params.max_cpu_percent),
            "memory": Levels("% used", params.warn_memory_percent, params.max_memory_percent),
            "temperature": Levels("°C", params.warn_temperature_c, params.max_temperature_c),
            "disk": Levels("MB free", warn_below=params.warn_disk_free_mb, least=params.min_disk_free_mb),
        }

    def examine(self, given: CheckInput) -> Finding:
        if given.host is None or not 0.0 <= given.host_age_s <= self.params.max_age_s:
            return Finding(
                Decision.FAULT,
                f"Nobody has looked at the guard's machine for {given.host_age_s:.1f} s."
                if given.host is not None
                else "Nobody has looked at the guard's machine yet.",
            )
        return max(self._findings(given.host), key=lambda finding: finding.decision)

    def _findings(self, host: HostHealth) -> Iterator[Finding]:
        told = {
            "cpu": host.cpu_percent,
            "memory": host.memory_percent,
            "temperature": host.temperature_c,
            "disk": host.disk_free_bytes / _MB if host.disk_free_bytes is not None else None,
        }
        for channel, value in told.items():
            if value is not None:
                yield grade([(f"This machine's {channel}", value)], self._levels[channel])
            elif channel in self.params.required:
                yield Finding(Decision.FAULT, f"This machine does not tell its {channel}, which is required.")
            else:
                yield Finding()
