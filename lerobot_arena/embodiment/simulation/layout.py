# SPDX-License-Identifier: Apache-2.0
"""Where cube and tray may lie: random, apart, and within the arm's reach from above."""

from dataclasses import dataclass
from math import cos, hypot, pi, sin

import numpy as np

CUBE_SIDE_M = 0.025
TRAY_INSIDE_M = 0.085
TRAY_WALL_M = 0.004
TRAY_WALL_HEIGHT_M = 0.018
TRAY_FLOOR_M = 0.003

# The shoulder pan axis: reach is a circle about it.
PAN_AXIS_XY = (0.0388353, 0.0)
_REACH_M = (0.16, 0.23)
_AZIMUTH_RAD = (-0.75, 0.75)
# Half the tray's diagonal, half the cube's and the open jaws between them.
_APART_M = 0.115


@dataclass(frozen=True, slots=True)
class Placement:
    """A pose on the table: metres in the base frame, yaw in radians."""

    x_m: float
    y_m: float
    yaw_rad: float


@dataclass(frozen=True, slots=True)
class Layout:
    """One episode's cube and tray."""

    cube: Placement
    tray: Placement


def _place(random: np.random.Generator) -> Placement:
    # The root makes the density even over the table rather than over the radius.
    radius = float(np.sqrt(random.uniform(_REACH_M[0] ** 2, _REACH_M[1] ** 2)))
    azimuth = float(random.uniform(*_AZIMUTH_RAD))
    x, y = PAN_AXIS_XY[0] + radius * cos(azimuth), PAN_AXIS_XY[1] + radius * sin(azimuth)
    return Placement(x, y, float(random.uniform(-pi / 4, pi / 4)))


def draw_layout(random: np.random.Generator) -> Layout:
    """Random cube and tray that do not touch and leave room for the jaws."""
    while True:
        layout = Layout(_place(random), _place(random))
        if hypot(layout.cube.x_m - layout.tray.x_m, layout.cube.y_m - layout.tray.y_m) >= _APART_M:
            return layout
