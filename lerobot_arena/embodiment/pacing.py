# SPDX-License-Identifier: Apache-2.0
"""Keeping a rate on the steady clock: no drift, and no burst after a stall."""

import time
from collections.abc import Callable

from lerobot_arena.core.clock import NS, Clock


class Pacer:
    """Absolute deadlines. A stall is made up for by at most `most_behind` periods; the rest is lost and counted."""

    def __init__(
        self,
        period_s: float,
        *,
        clock: Clock,
        most_behind: int = 10,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period_ns = round(period_s * NS)
        self._most_behind = most_behind
        self._clock = clock
        self._sleep = sleep
        self._due_ns = clock.steady_ns() + self._period_ns
        self.overruns = 0
        self.lost_periods = 0

    def wait(self) -> int:
        """Sleep until the next deadline; how many periods are due, from 1 to `most_behind`."""
        now_ns = self._clock.steady_ns()
        if now_ns < self._due_ns:
            self._sleep((self._due_ns - now_ns) / NS)
            now_ns = max(self._clock.steady_ns(), self._due_ns)
        due = 1 + (now_ns - self._due_ns) // self._period_ns
        if due > self._most_behind:
            self.overruns += 1
            self.lost_periods += due - self._most_behind
            self._due_ns = now_ns + self._period_ns
            return self._most_behind
        self._due_ns += due * self._period_ns
        return due
