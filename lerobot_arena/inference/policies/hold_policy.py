# SPDX-License-Identifier: Apache-2.0
"""Asks for nothing but to stay: every step of the chunk is the measured state."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput


def load(manifest: PolicyManifest, options: LoadOptions) -> "HoldModel":
    """No weights to load."""
    return HoldModel(manifest)


class HoldModel:
    """Nothing is shared."""

    device = "cpu"

    def __init__(self, manifest: PolicyManifest) -> None:
        self._manifest = manifest

    def open(self) -> "HoldPolicy":
        """A session's policy; they are all alike."""
        return HoldPolicy(self._manifest)


class HoldPolicy:
    """Repeats the state."""

    def __init__(self, manifest: PolicyManifest) -> None:
        self._steps = manifest.chunk_size
        self._order = [manifest.state_names.index(name) for name in manifest.joint_names]
        self.stage_ms: Mapping[str, float] = {}

    def reset(self) -> None:
        """There is nothing to forget."""

    def infer(self, history: Sequence[PolicyInput]) -> FloatArray:
        """The newest state, `chunk_size` times."""
        started = time.perf_counter()
        chunk = np.tile(history[-1].state[self._order], (self._steps, 1))
        self.stage_ms = {"network": (time.perf_counter() - started) * 1e3}
        return chunk
