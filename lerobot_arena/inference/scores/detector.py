# SPDX-License-Identifier: Apache-2.0
"""How far an observation is from those a policy was trained on: whitened (Mahalanobis) distance, group by group.

Each group of features (a camera's colours, its texture, the joints) is whitened by its covariance over the training
frames, shrunk after Ledoit & Wolf (2004) and widened by a floor of measurement noise. A group's distance is the root
mean square of its whitened features, in units of what only one training frame in a hundred exceeds; the observation's
is the largest of its groups, so that a change in a few features is not averaged away.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.units import RADIANS
from lerobot_arena.inference.scores.conformal import conformal_threshold
from lerobot_arena.inference.scores.features import JOINTS, Layout, Vector
from lerobot_arena.inference.scores.protocol import HIGHEST, Pixels

# Two levels of 255 for pictures, about a degree for joints: what does not vary in training is not known better.
PIXEL_FLOOR = 2 / 255
JOINT_FLOOR, JOINT_FLOOR_RAD = 1.0, 0.02
REFERENCE_QUANTILE = 0.99
FEWEST_FRAMES = 100
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Group:
    """`whitening` is F×F for the F features of `mean`; `reference` is the distance that counts as 1."""

    mean: Vector
    whitening: Matrix
    reference: float

    def distance(self, features: Vector) -> float:
        whitened = (features - self.mean) @ self.whitening
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
    """Fitted on `frames` observations; without a calibration it has distances but no threshold."""

    layout: Layout
    groups: Mapping[str, Group]
    frames: int
    calibration: Calibration | None = None

    def distance(self, frames: Mapping[str, Pixels], state: FloatArray) -> float:
        """About 1 and below for what is like the training data; finite always."""
        with np.errstate(over="ignore", invalid="ignore"):  # joints may come as anything
            features = self.layout.features(frames, state)
            distances = [group.distance(features[name]) for name, group in self.groups.items()]
        return min(max(distances), HIGHEST) if np.isfinite(distances).all() else HIGHEST

    def calibrated(self, episodes: Iterable[Sequence[float]], alpha: float) -> "Detector":
        """With the threshold of these successful episodes' distances, which it was not fitted on.

        Raises InvalidInput, as `conformal_threshold` does.
        """
        distances = list(episodes)
        conformal_threshold(distances, alpha)
        maxima = tuple(sorted(float(max(episode)) for episode in distances))
        return replace(self, calibration=Calibration(maxima, alpha))


def fit_detector(
    layout: Layout, observations: Iterable[tuple[Mapping[str, Pixels], FloatArray]], *, unit: str
) -> Detector:
    """Fit to (frames, state) of training; states in `unit`. Raises InvalidInput for too few of them."""
    rows = [layout.features(frames, state) for frames, state in observations]
    if len(rows) < FEWEST_FRAMES:
        raise InvalidInput(f"A detector is fitted on at least {FEWEST_FRAMES} frames; there are {len(rows)}.")
    joint_floor = JOINT_FLOOR_RAD if unit == RADIANS else JOINT_FLOOR
    groups = {
        name: _fit(
            np.stack([row[name] for row in rows]).astype(np.float64),
            joint_floor if name == JOINTS else PIXEL_FLOOR,
        )
        for name in layout.sizes
    }
    return Detector(layout, groups, len(rows))


def _fit(features: FloatArray, floor: float) -> Group:
    mean = features.mean(axis=0)
    centred = features - mean
    covariance = _shrunk(centred) + floor**2 * np.eye(len(mean))
    variances, axes = np.linalg.eigh(covariance)
    whitening = axes / np.sqrt(variances)
    distances = np.sqrt(np.mean(np.square(centred @ whitening), axis=1))
    # Never below 1, the floor's own spread: pictures without any noise would make each new one alarming.
    reference = max(float(np.quantile(distances, REFERENCE_QUANTILE)), 1.0)
    return Group(mean.astype(np.float32), whitening.astype(np.float32), reference)


def _shrunk(centred: FloatArray) -> FloatArray:
    """The covariance, shrunk towards a multiple of the identity as far as Ledoit & Wolf (2004), §3.3 find best."""
    count, size = centred.shape
    sample = centred.T @ centred / count
    scale = np.trace(sample) / size
    identity = np.eye(size)
    spread = np.sum(np.square(sample - scale * identity))
    if spread == 0:
        return sample
    error = np.sum(np.sum(np.square(centred), axis=1) ** 2) / count - np.sum(np.square(sample))
    share = min(max(error / count / spread, 0.0), 1.0)
    shrunk: FloatArray = (1 - share) * sample + share * scale * identity
    return shrunk
