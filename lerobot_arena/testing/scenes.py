# SPDX-License-Identifier: Apache-2.0
"""A made-up desk that costs no renderer: a square goes where the first joint says, before a fixed background."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.inference.scores.detector import Detector
from lerobot_arena.inference.scores.features import Layout
from lerobot_arena.inference.scores.fitting import fit_detector
from lerobot_arena.inference.scores.protocol import Pixels

Moment = tuple[Mapping[str, Pixels], FloatArray]


def picture(place: float, size: int) -> NDArray[np.uint8]:
    """`place` 0..1 is where the square is; size×size×3."""
    shades = np.linspace(40, 200, size)
    desk = np.stack([np.add.outer(shades, shades[::-1]) / 2, *[np.tile(shades, (size, 1))] * 2], axis=2)
    side = size // 4
    left = round(place * (size - side))
    desk[side : 2 * side, left : left + side] = (220, 30, 30)
    return desk.astype(np.uint8)


def episode(random: np.random.Generator, *, size: int = 32, joints: int = 6, steps: int = 20) -> list[Moment]:
    """One smooth movement under a little sensor noise, seen by the camera `front`."""
    begin, end = random.uniform(0, 1, 2)
    moments: list[Moment] = []
    for place in np.linspace(begin, end, steps):
        seen = picture(place, size) + random.normal(0, 2, (size, size, 3))
        state = np.concatenate([[200 * place - 100], random.normal(0, 5, joints - 1)])
        moments.append(({"front": np.clip(np.rint(seen), 0, 255).astype(np.uint8)}, state))
    return moments


def fitted(*, size: int = 32, joints: int = 6, seed: int = 0) -> Detector:
    """A detector of such moments, calibrated for one false alarm in ten episodes."""
    random = np.random.default_rng(seed)
    layout = Layout((("front", size, size),), joints)
    training = [moment for _ in range(20) for moment in episode(random, size=size, joints=joints)]
    detector = fit_detector(layout, training, unit=NORMALIZED)
    held_out = [episode(random, size=size, joints=joints) for _ in range(19)]
    return detector.calibrated([[detector.distance(*moment) for moment in one] for one in held_out], 0.1)
