# SPDX-License-Identifier: Apache-2.0
"""What a policy kind implements. All of it runs in a worker process, one call at a time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """One observation in the policy's own terms.

    `state` is float64 in the manifest's unit and `state_names` order; `frames` is camera name → uint8 H×W×3 of the
    manifest's size; `time_s` is when it was seen, on a steady clock that is the same for all of one session.
    The arrays may be views of memory that is reused after the call: keep a copy, not the view.
    """

    state: FloatArray
    frames: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    task: str = ""
    time_s: float = 0.0


class Policy(Protocol):
    """One session's view of a loaded model: what must not be mixed up between sessions lives here."""

    stage_ms: Mapping[str, float]
    """Durations of the latest call: preprocess, network, postprocess."""

    def reset(self) -> None:
        """Forget everything seen so far."""

    def infer(self, history: Sequence[PolicyInput]) -> FloatArray:
        """Actions H×D in the manifest's unit and `joint_names` order; `history` is oldest first, newest last."""


class LoadedModel(Protocol):
    """A model in memory, shared by the sessions that use it."""

    device: str

    def open(self) -> Policy:
        """A session's own policy."""


class BatchedPolicy(Policy, Protocol):
    """A policy whose call comes apart: what is the session's own, around what sessions can share."""

    def prepare(self, history: Sequence[PolicyInput]) -> Any:
        """What goes into the network; nothing of it is another session's."""

    def finish(self, raw: Any, history: Sequence[PolicyInput], *, network_ms: float) -> FloatArray:
        """Actions H×D from what the network gave for `prepare`'s answer, in `network_ms`. Sets `stage_ms`."""


class BatchedModel(LoadedModel, Protocol):
    """A model whose network takes several observations at once."""

    def compute(self, prepared: Sequence[Any]) -> Sequence[Any]:
        """The network's answer to each, in order. Raises when they don't fit one batch, or one of them is unusable."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Where to compute; `threads` 0 leaves the choice to the library."""

    device: str = "cpu"
    threads: int = 0


def default_threads() -> int:
    """All cores but one: threads that wait for a core others use make each other slower, not faster."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class Loader(Protocol):
    """What a line of the policy table names."""

    def __call__(self, manifest: PolicyManifest, options: LoadOptions) -> LoadedModel:
        """Load the weights. Raises PolicyError."""
