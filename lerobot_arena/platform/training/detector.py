# SPDX-License-Identifier: Apache-2.0
"""The out-of-distribution detector that a trained policy ships with, from the episodes the policy was trained on.

Every demonstration in the dataset is a successful one. Three fifths fit the detector, the rest set its threshold.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.inference.scores.conformal import episodes_needed
from lerobot_arena.inference.scores.detector_file import describe_detector, write_detector
from lerobot_arena.inference.scores.features import Layout
from lerobot_arena.inference.scores.fitting import FEWEST_FRAMES, fit_detector
from lerobot_arena.inference.scores.protocol import Pixels
from lerobot_arena.platform.training.dataset import Frames
from lerobot_arena.platform.training.demonstration import CAMERA

# Of successful episodes, the share that may raise an alarm. Where there are too few episodes to vouch for that, as
# many more as they can vouch for. A still smaller share would rest on the one strangest start of a hundred.
ALPHA, LARGEST_ALPHA = 0.02, 0.1
_HELD_OUT_OF_FIVE = (1, 3)
# Frames a tenth of a second apart: those between tell a fit nothing new.
_FIT_EVERY = 3


def write_demo_detector(frames: Frames, folder: Path) -> str:
    """Fit, calibrate and write folder/ood.safetensors. Returns what it is, or why there is none, in one line."""
    episodes = list(pairwise([0, *np.unique(frames.ends).tolist()]))
    held_out = [span for index, span in enumerate(episodes) if index % 5 in _HELD_OUT_OF_FIVE]
    fitted = [span for span in episodes if span not in held_out]
    needed = episodes_needed(LARGEST_ALPHA)
    training = [moment for span in fitted for moment in _moments(frames, span, every=_FIT_EVERY)]
    if len(held_out) < needed or len(training) < FEWEST_FRAMES:
        return f"ood: none, a threshold takes {needed} held-out episodes and there are {len(held_out)}"
    height, width = frames.images.shape[1:3]
    layout = Layout(((CAMERA, height, width),), frames.states.shape[1])
    detector = fit_detector(layout, training, unit=NORMALIZED)
    distances = [[detector.distance(*moment) for moment in _moments(frames, span)] for span in held_out]
    alpha = max(ALPHA, 1 / (len(held_out) + 1))
    write_detector(folder, detector.calibrated(distances, alpha))
    return describe_detector(folder)


def _moments(
    frames: Frames, span: tuple[int, int], *, every: int = 1
) -> Iterator[tuple[dict[str, Pixels], FloatArray]]:
    for index in range(*span, every):
        yield {CAMERA: frames.images[index]}, frames.states[index].astype(np.float64)
