# SPDX-License-Identifier: Apache-2.0
"""`frozen:<camera>`: for how many seconds a camera has repeated one picture while the joints moved.

Pictures are compared bit for bit: a sensor's noise makes two of them differ even before a scene at rest. A simulated
camera has no noise, so a repetition counts only from when the measured joints have left where they were at its first
picture. A policy without a state gives no such evidence: there each repetition counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.units import RADIANS
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.scores.protocol import Pixels, Seen

# Long enough for a picture that is older than its joints, short beside what a blind arm can do.
FROZEN_S = 1.0
# About a degree: beyond a servo's own flicker, and more than a picture of it can miss.
_MOVED, _MOVED_RAD = 1.0, 0.02
_GLANCE = 61


def make(manifest: PolicyManifest) -> "FrozenCameras | None":
    """See protocol.Maker."""
    if not manifest.cameras:
        return None
    moved = _MOVED_RAD if manifest.unit == RADIANS else _MOVED
    return FrozenCameras(manifest.camera_names, moved=moved)


@dataclass(slots=True)
class _Run:
    """Pictures that are all alike; `moving_ns` is when the joints were first seen elsewhere, 0 before."""

    picture: Pixels
    state: FloatArray
    latest_ns: int
    moving_ns: int = 0

    @property
    def frozen_s(self) -> float:
        return seconds_between(self.moving_ns, self.latest_ns) if self.moving_ns else 0.0


class FrozenCameras:
    """Keeps one picture per camera."""

    def __init__(self, cameras: tuple[str, ...], *, moved: float) -> None:
        """`moved` is how far one joint has to go, in the state's unit."""
        self._cameras, self._moved = cameras, moved
        self._runs: dict[str, _Run] = {}

    def reset(self) -> None:
        """See protocol.Scorer."""
        self._runs.clear()

    def score(self, seen: Seen) -> Iterator[Score]:
        """See protocol.Scorer."""
        for camera in self._cameras:
            yield Score(f"frozen:{camera}", self._look(camera, seen), FROZEN_S)

    def _look(self, camera: str, seen: Seen) -> float:
        picture, received_ns = seen.frames[camera], seen.received_ns[camera]
        run = self._runs.get(camera)
        if run is None or not _is_same(run.picture, picture):
            run = self._runs[camera] = _Run(picture, seen.state.copy(), received_ns)
        # A frame that is asked for again, or an older one that fits the joints better, adds nothing.
        run.latest_ns = max(run.latest_ns, received_ns)
        if not run.moving_ns and self._has_moved(run, seen.state):
            run.moving_ns = run.latest_ns
        return run.frozen_s

    def _has_moved(self, run: _Run, state: FloatArray) -> bool:
        with np.errstate(invalid="ignore"):  # inf − inf: a joint that says nothing has not moved
            return not state.size or bool((np.abs(state - run.state) > self._moved).any())


def _is_same(one: Pixels, other: Pixels) -> bool:
    if one.shape != other.shape:
        return False
    # Two different pictures differ nearly everywhere: a glance spares the whole comparison.
    if not np.array_equal(one[::_GLANCE], other[::_GLANCE]):
        return False
    return np.array_equal(one, other)
