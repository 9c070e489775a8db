# SPDX-License-Identifier: Apache-2.0
"""The benchmark scene: one table of boxes, written as MJCF for physics and as GLB for looks."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Vector = tuple[float, float, float]
COLOURS = {
    "step": (0.33, 0.52, 0.72),
    "ramp": (0.92, 0.62, 0.22),
    "rubble": (0.62, 0.60, 0.56),
    "mark": (0.80, 0.29, 0.25),
    "gate": (0.29, 0.65, 0.45),
}
HALF_WIDTH_M = 0.9
# Ramps reach this far under their surface, so that no edge hangs in the air.
THICKNESS_M = 0.12


@dataclass(frozen=True, slots=True)
class Block:
    """A box: centre and half sizes in metres, world frame (x ahead, z up); `pitch` in radians about +y."""

    name: str
    kind: str
    centre: Vector
    half: Vector
    pitch: float = 0.0


def parkour() -> tuple[Block, ...]:
    """Return the course: steps of 2 cm up and down, a ramp of 6 degrees over a plateau, rubble, a gate at 10 m.

    The start (x < 1.8 m) and the ground beside the lane (|y| > 0.9 m) are free.
    """
    return (*_steps(), *_hill(), *_rubble(), *_gate(), *_marks())


def _steps() -> Iterator[Block]:
    for index, (start, end, height) in enumerate(
        [(1.8, 2.3, 0.02), (2.3, 2.8, 0.04), (2.8, 3.6, 0.06), (3.6, 4.1, 0.04), (4.1, 4.6, 0.02)]
    ):
        yield Block(
            f"step_{index}",
            "step",
            ((start + end) / 2, 0.0, height / 2),
            ((end - start) / 2, HALF_WIDTH_M, height / 2),
        )


def _hill() -> Iterator[Block]:
    yield _ramp("ramp_up", (5.2, 0.0), (6.2, 0.1))
    yield Block("plateau", "ramp", (6.6, 0.0, 0.05), (0.4, HALF_WIDTH_M, 0.05))
    yield _ramp("ramp_down", (7.0, 0.1), (8.0, 0.0))


def _ramp(name: str, start: tuple[float, float], end: tuple[float, float]) -> Block:
    """Return a box whose upper face runs from `start` to `end`, both (x, z)."""
    (x0, z0), (x1, z1) = start, end
    pitch = -math.atan2(z1 - z0, x1 - x0)
    down = THICKNESS_M / 2
    centre = ((x0 + x1) / 2 - down * math.sin(pitch), 0.0, (z0 + z1) / 2 - down * math.cos(pitch))
    return Block(name, "ramp", centre, (math.hypot(x1 - x0, z1 - z0) / 2, HALF_WIDTH_M, down), pitch)


def _rubble() -> Iterator[Block]:
    for row in range(5):
        for column in range(6):
            # Three heights in an order that no gait has by chance.
            height = (0.01, 0.02, 0.03)[(row * 5 + column * column + 2 * column) % 3]
            centre = (8.4 + 0.25 * row, -0.75 + 0.3 * column, height / 2)
            yield Block(f"rubble_{row}_{column}", "rubble", centre, (0.11, 0.13, height / 2))


def _gate() -> Iterator[Block]:
    for side in (-1, 1):
        yield Block(
            f"post_{'right' if side < 0 else 'left'}", "gate", (10.0, side * 1.1, 0.9), (0.05, 0.05, 0.9)
        )
    yield Block("bar", "gate", (10.0, 0.0, 1.85), (0.05, 1.15, 0.05))


def _marks() -> Iterator[Block]:
    for index in range(5):
        for side in (-1, 1):
            yield Block(
                f"mark_{index}_{'right' if side < 0 else 'left'}",
                "mark",
                (1.8 + 2.0 * index, side * 1.3, 0.04),
                (0.04, 0.04, 0.04),
            )


def to_mjcf(blocks: tuple[Block, ...], name: str) -> str:
    """Return the blocks as an MJCF to be included after a robot and its floor; every name starts with `name`."""
    materials = [
        f'    <material name="{name}_{kind}" rgba="{red} {green} {blue} 1"/>'
        for kind, (red, green, blue) in COLOURS.items()
    ]
    return "\n".join(
        [
            "<!-- SPDX-License-Identifier: Apache-2.0 -->",
            f"<!-- The {name} course; written by `python -m lerobot_arena.platform.training.locomotion scene`. -->",
            f'<mujoco model="{name}">',
            "  <asset>",
            *materials,
            "  </asset>",
            "  <worldbody>",
            f'    <body name="{name}">',
            *(f"      {_geom(block, name)}" for block in blocks),
            "    </body>",
            "  </worldbody>",
            "</mujoco>",
            "",
        ]
    )


def _geom(block: Block, name: str) -> str:
    # A quaternion means the same whether the including file counts in degrees or radians.
    turned = "" if not block.pitch else f' quat="{_numbers(_quaternion(block.pitch))}"'
    return (
        f'<geom name="{name}_{block.name}" type="box" pos="{_numbers(block.centre)}" size="{_numbers(block.half)}"'
        f'{turned} material="{name}_{block.kind}" friction="1 0.02 0.001"/>'
    )


def _quaternion(pitch: float) -> tuple[float, float, float, float]:
    return math.cos(pitch / 2), 0.0, math.sin(pitch / 2), 0.0


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def write_glb(blocks: tuple[Block, ...], path: Path) -> None:
    """Write the blocks as GLB, y up and -z to the left of the course, as glTF wants it (spec 2.0, 3.4)."""
    import numpy as np
    import trimesh

    y_up = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
    parts = {}
    for kind, colour in COLOURS.items():
        boxes = []
        for block in (block for block in blocks if block.kind == kind):
            box = trimesh.creation.box(extents=[2 * half for half in block.half])
            turn = trimesh.transformations.quaternion_matrix(_quaternion(block.pitch))
            turn[:3, 3] = block.centre
            boxes.append(box.apply_transform(y_up @ turn))
        joined = trimesh.util.concatenate(boxes)
        joined.visual = trimesh.visual.TextureVisuals(
            material=trimesh.visual.material.PBRMaterial(
                name=kind,
                baseColorFactor=[*(round(255 * part) for part in colour), 255],
                metallicFactor=0.0,
                roughnessFactor=0.9,
            )
        )
        parts[kind] = joined
    scene = trimesh.Scene(parts)
    path.write_bytes(scene.export(file_type="glb", include_normals=True))


def ground_m(blocks: tuple[Block, ...], x: float, y: float, margin: float) -> float:
    """Return the height of the highest block under (x, y) or within `margin` of it; the floor is 0."""
    heights = [0.0]
    for block in blocks:
        reach = block.half[0] * math.cos(block.pitch) + margin
        if abs(x - block.centre[0]) < reach and abs(y - block.centre[1]) < block.half[1] + margin:
            slope = block.half[0] * abs(math.sin(block.pitch))
            heights.append(block.centre[2] + block.half[2] * math.cos(block.pitch) + slope)
    return max(heights)
