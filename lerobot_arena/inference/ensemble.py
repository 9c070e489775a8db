# SPDX-License-Identifier: Apache-2.0
"""ACT's temporal ensembling, at whatever moments chunks are asked for.

Algorithm 2 of https://huggingface.co/papers/2304.13705: every prediction made for one instant is averaged with
weights exp(-coeff·i), i = 0 the oldest. LeRobot's class assumes one chunk per step; here a chunk is placed by the
time of its observation, rounded to whole steps, so that any pace gives the same average.
"""

from collections import deque

import numpy as np

from lerobot_arena.core.observation import FloatArray


class TemporalEnsemble:
    """One session's past chunks. Memory is bounded by the chunk's length."""

    def __init__(self, coeff: float, dt_s: float) -> None:
        self._coeff = coeff
        self._dt_s = dt_s
        self._chunks: deque[tuple[int, FloatArray]] = deque()
        self._start_s: float | None = None

    def reset(self) -> None:
        """Forget all chunks."""
        self._chunks.clear()
        self._start_s = None

    def update(self, chunk: FloatArray, time_s: float) -> FloatArray:
        """The ensembled chunk, H×D, for the H steps from `time_s` on."""
        if self._start_s is None or time_s < self._start_s:
            self.reset()
            self._start_s = time_s
        step, horizon = round((time_s - self._start_s) / self._dt_s), chunk.shape[0]
        while self._chunks and (self._chunks[0][0] + self._chunks[0][1].shape[0] <= step):
            self._chunks.popleft()
        if self._chunks and self._chunks[-1][0] == step:
            self._chunks.pop()
        self._chunks.append((step, chunk))
        total, weights, ages = np.zeros_like(chunk), np.zeros((horizon, 1)), np.zeros((horizon, 1))
        for first, past in self._chunks:
            known = min(first + past.shape[0] - step, horizon)
            weight = np.exp(-self._coeff * ages[:known])
            total[:known] += weight * past[step - first : step - first + known]
            weights[:known] += weight
            ages[:known] += 1
        return total / weights
