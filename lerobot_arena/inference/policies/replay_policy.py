# SPDX-License-Identifier: Apache-2.0
"""Plays recorded actions by the clock, and misbehaves on demand: what tests and comparisons need.

File: JSON with `actions` (rows in `joint_names` order; without it the state is repeated), the manifest's joint_names,
unit, fps, chunk_size, n_action_steps, cameras, and `faults`: {delay_ms, throw_at, hang_at, exit_at}, the latter three
being the number of the call, from 1, that throws, never returns, or ends the process.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError, PolicyFailed
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest, read_json
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput

EXIT_CODE = 17
_FAULTS = {"delay_ms", "throw_at", "hang_at", "exit_at"}


def load(manifest: PolicyManifest, options: LoadOptions) -> "ReplayModel":
    """Read the file. Raises PolicyError."""
    return ReplayModel(manifest)


class ReplayModel:
    """The recorded rows; calls are counted over all sessions."""

    device = "cpu"

    def __init__(self, manifest: PolicyManifest) -> None:
        path = Path(manifest.path) / manifest.weights
        data = read_json(path)
        self.manifest = manifest
        rows = data.get("actions")
        self.rows = None if rows is None else np.asarray(rows, dtype=np.float64)
        if self.rows is not None and self.rows.shape[1:] != (len(manifest.joint_names),):
            raise PolicyError(
                f"{path}: actions have shape {self.rows.shape} for {len(manifest.joint_names)} joints."
            )
        self._faults: dict[str, Any] = dict(data.get("faults", {}))
        if unknown := set(self._faults) - _FAULTS:
            raise PolicyError(
                f"{path}: unknown fault {sorted(unknown)[0]!r}. Known: {', '.join(sorted(_FAULTS))}."
            )
        self._calls = 0

    def open(self) -> "ReplayPolicy":
        """A session's own place in the recording."""
        return ReplayPolicy(self)

    def misbehave(self) -> None:
        """Be late, throw, hang or die when this call is the one."""
        self._calls += 1
        time.sleep(float(self._faults.get("delay_ms", 0.0)) / 1e3)
        if self._calls == self._faults.get("throw_at"):
            raise PolicyFailed(f"Replay threw at call {self._calls}, as its file asks.")
        if self._calls == self._faults.get("exit_at"):
            os._exit(EXIT_CODE)
        while self._calls == self._faults.get("hang_at"):
            time.sleep(3600.0)


class ReplayPolicy:
    """One session's playback: row 0 belongs to its first observation after a reset."""

    def __init__(self, model: ReplayModel) -> None:
        self._model = model
        manifest = model.manifest
        self._order = [manifest.state_names.index(name) for name in manifest.joint_names]
        self._start_s: float | None = None
        self.stage_ms: Mapping[str, float] = {}

    def reset(self) -> None:
        """Begin at the first row again."""
        self._start_s = None

    def infer(self, history: Sequence[PolicyInput]) -> FloatArray:
        """The rows due from now on; the last row when the recording is over."""
        started = time.perf_counter()
        self._model.misbehave()
        newest, manifest = history[-1], self._model.manifest
        rows = self._model.rows
        if rows is None:
            rows = newest.state[self._order][np.newaxis]
        if self._start_s is None:
            self._start_s = newest.time_s
        first = max(0, round((newest.time_s - self._start_s) * manifest.fps))
        chunk = rows[np.minimum(np.arange(first, first + manifest.chunk_size), len(rows) - 1)]
        self.stage_ms = {"network": (time.perf_counter() - started) * 1e3}
        return chunk
