# SPDX-License-Identifier: Apache-2.0
"""Percentiles over a bounded window, cheap enough for a control loop."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW = 512


@dataclass(frozen=True, slots=True)
class StageStat:
    """Durations of one stage in ms; `count` since start, percentiles over the latest WINDOW."""

    name: str
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class StageTimes:
    """Named durations. Adding is O(1) and safe from several threads; reading sorts the window."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._values: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, duration_ms: float) -> None:
        with self._lock:
            self._values.setdefault(name, deque(maxlen=self._window)).append(duration_ms)
            self._counts[name] = self._counts.get(name, 0) + 1

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._counts.clear()

    def read(self) -> list[StageStat]:
        """One StageStat per name, in order of first appearance."""
        with self._lock:
            copies = [(name, self._counts[name], np.array(values)) for name, values in self._values.items()]
        return [_stat(name, count, values) for name, count, values in copies]


def _stat(name: str, count: int, values: NDArray[np.float64]) -> StageStat:
    p50, p95, p99 = (float(v) for v in np.percentile(values, [50, 95, 99]))
    return StageStat(name, count, p50, p95, p99, float(values.max()))
