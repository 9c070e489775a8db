# SPDX-License-Identifier: Apache-2.0
"""What the detector looks at: a coarse picture, its texture, and the joints. Plain statistics, nothing learned.

A frame is first brought to the size the policy was trained on, as the policy's own graph does it, so that a recorded
frame and a live one of the same moment give the same numbers. Pixel values are shares of 255.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.area import area_average
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.scores.protocol import Pixels

COLOUR_CELLS = (6, 8)
TEXTURE_CELLS = (3, 4)
# Of a picture trained on at full size only every so many pixels are looked at.
_WORKING_HEIGHT = 96
SMALLEST = 16
JOINTS = "joints"
_GREY = np.full(3, 1 / 3, dtype=np.float32)
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """Cameras as (name, trained height, trained width), and how many joints the state has."""

    cameras: tuple[tuple[str, int, int], ...]
    joints: int

    def __post_init__(self) -> None:
        for name, height, width in self.cameras:
            if min(height, width) < SMALLEST:
                raise InvalidInput(
                    f"Camera {name!r} is trained at {width}×{height}; the detector needs at least "
                    f"{SMALLEST}×{SMALLEST}."
                )

    @classmethod
    def of(cls, manifest: PolicyManifest) -> "Layout":
        """What a policy sees. Raises InvalidInput for pictures that are too small."""
        cameras = tuple((c.name, c.trained_height, c.trained_width) for c in manifest.cameras)
        return cls(cameras, len(manifest.state_names))

    @property
    def sizes(self) -> dict[str, int]:
        """Name of each group of features and how many it has."""
        colour, texture = _product(COLOUR_CELLS) * 3, _product(TEXTURE_CELLS) * 2
        found: dict[str, int] = {}
        for name, _, _ in self.cameras:
            found |= {f"colour:{name}": colour, f"texture:{name}": texture}
        return found | ({JOINTS: self.joints} if self.joints else {})

    def features(self, frames: Mapping[str, Pixels], state: FloatArray) -> dict[str, Vector]:
        """One observation's features by group. Raises InvalidInput when a frame has no whole blocks."""
        found: dict[str, Vector] = {}
        for name, height, width in self.cameras:
            pixels = _working(area_average(frames[name], height, width))
            found[f"colour:{name}"] = _colour(pixels)
            found[f"texture:{name}"] = _texture(pixels)
        if self.joints:
            found[JOINTS] = np.asarray(state, dtype=np.float32)
        return found


def _product(cells: tuple[int, int]) -> int:
    return cells[0] * cells[1]


def _working(pixels: Pixels) -> Vector:
    step = max(1, min(pixels.shape[:2]) // _WORKING_HEIGHT)
    return pixels[::step, ::step].astype(np.float32) / np.float32(255)


def _whole(values: Vector, cells: tuple[int, int]) -> tuple[Vector, int, int]:
    """Cut off at the end what does not divide; with the height and width of a cell."""
    height, width = values.shape[0] // cells[0], values.shape[1] // cells[1]
    return values[: cells[0] * height, : cells[1] * width], height, width


def _means(values: Vector, cells: tuple[int, int]) -> Vector:
    """H×W×C → the mean of each cell, row by row, channel by channel."""
    whole, height, width = _whole(values, cells)
    channels = whole.shape[2]
    # Rows first, over contiguous memory.
    tall = whole.reshape(cells[0], height, -1).sum(axis=1)
    wide: Vector = tall.reshape(*cells, width, channels).sum(axis=2)
    return wide.ravel() / np.float32(height * width)


def _colour(pixels: Vector) -> Vector:
    return _means(pixels, COLOUR_CELLS)


def _texture(pixels: Vector) -> Vector:
    """Per cell, how much neighbouring pixels differ: on average, and in its calmest quarter, which noise stirs."""
    grey = pixels @ _GREY
    change = np.abs(grey[1:, :-1] - grey[:-1, :-1]) + np.abs(grey[:-1, 1:] - grey[:-1, :-1])
    whole, height, width = _whole(change, TEXTURE_CELLS)
    rows, columns = TEXTURE_CELLS
    parts = whole.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(rows * columns, -1)
    quarter = parts.shape[1] // 4
    calm = np.partition(parts, quarter, axis=1)[:, quarter]
    return np.concatenate([parts.mean(axis=1), calm])
