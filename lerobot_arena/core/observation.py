# SPDX-License-Identifier: Apache-2.0
"""What was seen at one instant: the value that flows from sensors to policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointSample:
    """Joint values with both times: `stamp_ns` of capture (its own clock), `receipt_ns` on our steady clock.

    `values` has one float per name, in `unit`.
    """

    names: tuple[str, ...]
    values: FloatArray
    unit: str
    stamp_ns: int
    receipt_ns: int

    def value_of(self, name: str) -> float:
        return float(self.values[self.names.index(name)])


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """One rgb image, uint8 H×W×3, with both times."""

    camera: str
    image: NDArray[np.uint8]
    stamp_ns: int
    receipt_ns: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One frame per required camera and one joint sample, close enough in time to belong together.

    `skew_s` is the largest distance between the stamps of its parts; `receipt_ns` is that of its oldest part.
    """

    joints: JointSample
    frames: Mapping[str, CameraFrame] = field(default_factory=dict)
    skew_s: float = 0.0
    task: str = ""

    @property
    def receipt_ns(self) -> int:
        return min([self.joints.receipt_ns, *(f.receipt_ns for f in self.frames.values())])

    @property
    def stamp_ns(self) -> int:
        return min([self.joints.stamp_ns, *(f.stamp_ns for f in self.frames.values())])
