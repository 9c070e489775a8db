# SPDX-License-Identifier: Apache-2.0
"""How far an observation is from those a policy was trained on: whitened (Mahalanobis) distance, group by group.

Of each group of features (a camera's colours, its texture, the joints) what the joints let expect is taken off, and
the rest is whitened by its covariance over the training frames. A group's distance is the root mean square of that, in
units of what only one training frame in a hundred exceeds; the observation's is the largest of its groups, so that a
change in a few features is not averaged away.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.scores.conformal import conformal_threshold
from lerobot_arena.inference.scores.features import Layout, Vector
from lerobot_arena.inference.scores.posture import terms_of
from lerobot_arena.inference.scores.protocol import HIGHEST, Pixels

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Group:
    """F features: `weights` is terms×F and gives the expected ones, `whitening` F×F; `reference` counts as 1."""

    weights: Matrix
    whitening: Matrix
    reference: float

    def distance(self, features: Vector, terms: Vector) -> float:
        """Of one observation."""
        expected = terms[: len(self.weights)] @ self.weights
        whitened = (features - expected) @ self.whitening
        return float(np.sqrt(np.mean(np.square(whitened)))) / self.reference


@dataclass(frozen=True, slots=True)
class Calibration:
    """The largest distance of each successful episode it was set on, and the share of false alarms it allows."""

    maxima: tuple[float, ...]
    alpha: float

    @property
    def threshold(self) -> float:
        """Raises InvalidInput when there are too few episodes for `alpha`."""
        return conformal_threshold([[value] for value in self.maxima], self.alpha)


@dataclass(frozen=True, slots=True)
class Detector:
    """Fitted on `frames` observations, whose joints were around `centre`, give or take `scale`.

    Without a calibration it has distances but no threshold.
    """

    layout: Layout
    centre: Vector
    scale: Vector
    groups: Mapping[str, Group]
    frames: int
    calibration: Calibration | None = None

    def distance(self, frames: Mapping[str, Pixels], state: FloatArray) -> float:
        """About 1 and below for what is like the training data; finite always."""
        with np.errstate(over="ignore", invalid="ignore"):  # joints may come as anything
            features = self.layout.features(frames, state)
            terms = terms_of(state, self.centre, self.scale)
            distances = [group.distance(features[name], terms) for name, group in self.groups.items()]
        return min(max(distances), HIGHEST) if np.isfinite(distances).all() else HIGHEST

    def calibrated(self, episodes: Iterable[Sequence[float]], alpha: float) -> "Detector":
        """With the threshold of these successful episodes' distances, which it was not fitted on.

        Raises InvalidInput, as `conformal_threshold` does.
        """
        distances = list(episodes)
        conformal_threshold(distances, alpha)
        maxima = tuple(sorted(float(max(episode)) for episode in distances))
        return replace(self, calibration=Calibration(maxima, alpha))
