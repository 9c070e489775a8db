# SPDX-License-Identifier: Apache-2.0
"""What a scorer implements, and what it is shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.hardware import Score
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest

Pixels = NDArray[np.uint8]
# A distance that is not finite, or beyond this, is sent as this: every transport can carry it.
HIGHEST = 1e6


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation as the policy gets it, of the manifest's sizes.

    `state` is in the manifest's unit and `state_names` order, empty for a policy without; `frames` is camera → uint8
    H×W×3; `received_ns` is camera → receipt of that frame on our steady clock. The arrays stay as they are.
    """

    state: FloatArray
    frames: Mapping[str, Pixels] = field(default_factory=dict)
    received_ns: Mapping[str, int] = field(default_factory=dict)


class Scorer(Protocol):
    """One session's scorer, called for one observation after the other."""

    def reset(self) -> None:
        """Forget earlier observations: a run begins."""

    def score(self, seen: Seen) -> Iterable[Score]:
        """The same names each time, with finite values."""


class Maker(Protocol):
    """What a line of the table names."""

    def __call__(self, manifest: PolicyManifest) -> Scorer | None:
        """A new scorer; None when this policy has nothing to score. Raises PolicyError for unusable files."""
