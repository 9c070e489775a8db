# SPDX-License-Identifier: Apache-2.0
"""Time as the rules need it: a steady clock for ages, a wall clock for labels. Tests move it."""

import time
from dataclasses import dataclass
from typing import Protocol

NS = 1_000_000_000


class Clock(Protocol):
    """Steady nanoseconds for ages and deadlines, wall nanoseconds only for stamps."""

    def steady_ns(self) -> int: ...

    def wall_ns(self) -> int: ...


class SystemClock:
    """The machine's clocks."""

    def steady_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()


@dataclass
class ManualClock:
    """A clock that stands still until it is moved."""

    now_ns: int = 10 * NS
    wall_offset_ns: int = 1_700_000_000 * NS

    def steady_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns + self.wall_offset_ns

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self.now_ns += round(seconds * NS)


def seconds_between(earlier_ns: int, later_ns: int) -> float:
    """Signed distance in seconds."""
    return (later_ns - earlier_ns) / NS
