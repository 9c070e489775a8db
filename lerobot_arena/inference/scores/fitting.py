# SPDX-License-Identifier: Apache-2.0
"""A detector from training frames: least squares of the pictures on the joints, covariance of what is left.

The covariance is shrunk after Ledoit & Wolf (2004) and widened by a floor of measurement noise: what never varied in
training is not known better than a sensor can tell.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.units import RADIANS
from lerobot_arena.inference.scores.detector import Detector, Group
from lerobot_arena.inference.scores.features import JOINTS, Layout
from lerobot_arena.inference.scores.posture import terms_of
from lerobot_arena.inference.scores.protocol import Pixels

# Two levels of 255, and about a degree.
PIXEL_FLOOR = 2 / 255
JOINT_FLOOR, JOINT_FLOOR_RAD = 1.0, 0.02
REFERENCE_QUANTILE = 0.99
FEWEST_FRAMES = 100
# Worth one frame of evidence against each term.
_RIDGE = 1.0


def fit_detector(
    layout: Layout, observations: Iterable[tuple[Mapping[str, Pixels], FloatArray]], *, unit: str
) -> Detector:
    """Fit to (frames, state) of training; states in `unit`. Raises InvalidInput for too few of them."""
    rows, states = [], []
    for frames, state in observations:
        rows.append(layout.features(frames, state))
        states.append(np.asarray(state, dtype=np.float64))
    if len(rows) < FEWEST_FRAMES:
        raise InvalidInput(f"A detector is fitted on at least {FEWEST_FRAMES} frames; there are {len(rows)}.")
    joint_floor = JOINT_FLOOR_RAD if unit == RADIANS else JOINT_FLOOR
    seen = np.stack(states)
    centre, scale = seen.mean(axis=0).astype(np.float32), (seen.std(axis=0) + joint_floor).astype(np.float32)
    terms = terms_of(seen, centre, scale).astype(np.float64)
    groups = {}
    for name in layout.sizes:
        features = np.stack([row[name] for row in rows]).astype(np.float64)
        is_joints = name == JOINTS
        groups[name] = _fit(
            features, terms[:, :1] if is_joints else terms, joint_floor if is_joints else PIXEL_FLOOR
        )
    return Detector(layout, centre, scale, groups, len(rows))


def _fit(features: FloatArray, terms: FloatArray, floor: float) -> Group:
    ridge = _RIDGE * np.eye(terms.shape[1])
    ridge[0, 0] = 0.0  # the constant is no claim about the joints
    weights = np.linalg.solve(terms.T @ terms + ridge, terms.T @ features)
    rest = features - terms @ weights
    variances, axes = np.linalg.eigh(shrunk_covariance(rest) + floor**2 * np.eye(features.shape[1]))
    whitening = axes / np.sqrt(variances)
    distances = np.sqrt(np.mean(np.square(rest @ whitening), axis=1))
    # Never below 1, the floor's own spread: pictures without any noise would make each new one alarming.
    reference = max(float(np.quantile(distances, REFERENCE_QUANTILE)), 1.0)
    return Group(weights.astype(np.float32), whitening.astype(np.float32), reference)


def shrunk_covariance(rest: FloatArray) -> FloatArray:
    """The covariance, shrunk towards a multiple of the identity as far as Ledoit & Wolf (2004), §3.3 find best."""
    count, size = rest.shape
    sample = rest.T @ rest / count
    scale = np.trace(sample) / size
    identity = np.eye(size)
    spread = np.sum(np.square(sample - scale * identity))
    if spread == 0:
        return sample
    error = np.sum(np.sum(np.square(rest), axis=1) ** 2) / count - np.sum(np.square(sample))
    share = min(max(error / count / spread, 0.0), 1.0)
    shrunk: FloatArray = (1 - share) * sample + share * scale * identity
    return shrunk
