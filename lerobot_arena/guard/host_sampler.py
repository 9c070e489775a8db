# SPDX-License-Identifier: Apache-2.0
"""How the guard's own machine is, looked at once a second on a thread of its own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from lerobot_arena.core.clock import Clock, SystemClock, seconds_between
from lerobot_arena.core.hardware import HostHealth


def look_at_host(folder: Path = Path("/")) -> HostHealth:
    """Load since the call before, memory, the hottest sensor, and free space where `folder` is; what is told."""
    return HostHealth(
        _told(lambda: psutil.cpu_percent(interval=None)),
        _told(lambda: psutil.virtual_memory().percent),
        _told(_hottest_c),
        _told(lambda: psutil.disk_usage(str(folder)).free),
    )


def _told[T](ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (psutil.Error, OSError, RuntimeError, ValueError, NotImplementedError):
        return None  # as psutil says it on machines, and in containers, that do not tell


def _hottest_c() -> float | None:
    if not hasattr(psutil, "sensors_temperatures"):
        return None
    found = [sensor.current for sensors in psutil.sensors_temperatures().values() for sensor in sensors]
    return max(found, default=None)


@dataclass(frozen=True, slots=True)
class HostLook:
    """One look; `taken_ns` is steady. Nothing was seen yet when `health` is None."""

    health: HostHealth | None = None
    taken_ns: int = 0

    def age_s(self, now_ns: int) -> float:
        """Negative before the first look; one taken after the cycle took its `now_ns` is as fresh as can be."""
        return max(0.0, seconds_between(self.taken_ns, now_ns)) if self.health is not None else -1.0


class HostSampler:
    """`latest` is replaced whole, so that a control cycle reads it without waiting; a look that hangs makes it age."""

    def __init__(
        self,
        *,
        period_s: float = 1.0,
        clock: Clock | None = None,
        look: Callable[[], HostHealth] = look_at_host,
    ) -> None:
        self.latest = HostLook()
        self._period_s, self._look = period_s, look
        self._clock = clock or SystemClock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, at once and then every `period_s`."""
        self._thread = threading.Thread(target=self._run, name="host", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; a look that hangs is left behind."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._ending.is_set():
            begun_ns = self._clock.steady_ns()
            self.latest = HostLook(self._look(), begun_ns)
            self._ending.wait(self._period_s)
