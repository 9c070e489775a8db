# SPDX-License-Identifier: Apache-2.0
"""`dark:<camera>`: how little a picture shows, 1 when nothing.

1 − (95th − 5th percentile of brightness) / 255: a lens that is covered or blinded and a room without light alike give
a picture of one brightness. A dim picture that still shows edges stays below the threshold.
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np

from lerobot_arena.core.hardware import Score
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.scores.protocol import Pixels, Seen

# The noise of a covered sensor spreads over about 10 of 255 levels.
DARK = 0.95
_SHARE = 20
_LOOKED_AT = 4800


def make(manifest: PolicyManifest) -> "DarkCameras | None":
    """See protocol.Maker."""
    return DarkCameras(manifest.camera_names) if manifest.cameras else None


class DarkCameras:
    """Keeps nothing."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self._cameras = cameras

    def reset(self) -> None:
        """See protocol.Scorer."""

    def score(self, seen: Seen) -> Iterator[Score]:
        """See protocol.Scorer."""
        for camera in self._cameras:
            yield Score(f"dark:{camera}", darkness(seen.frames[camera]), DARK)


def darkness(picture: Pixels) -> float:
    """0 to 1 for an uint8 H×W×3 picture, from a few thousand of its pixels."""
    step = max(1, round(sqrt(picture.shape[0] * picture.shape[1] / _LOOKED_AT)))
    brightness = picture[::step, ::step].sum(axis=2, dtype=np.uint16).ravel()
    cut = brightness.size // _SHARE
    ordered = np.partition(brightness, (cut, brightness.size - 1 - cut))
    return 1.0 - (float(ordered[-1 - cut]) - float(ordered[cut])) / (3 * 255)
