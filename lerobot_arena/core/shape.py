# SPDX-License-Identifier: Apache-2.0
"""Something to draw in space, without a drawing library: what becomes a visualization_msgs/Marker."""

from dataclasses import dataclass

BOX, SPHERE, TEXT = "box", "sphere", "text"


@dataclass(frozen=True, slots=True)
class Shape:
    """`size_m` along x, y, z; of a text only z, the height of its letters. `colour` is red, green, blue, alpha, 0..1.

    `group` is what a viewer can hide as one.
    """

    kind: str
    group: str
    centre_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    colour: tuple[float, float, float, float]
    text: str = ""
