# SPDX-License-Identifier: Apache-2.0
"""A scene's GLB: what its header and JSON promise is checked before trimesh reads the rest.

Source: glTF 2.0, registry.khronos.org/glTF/specs/2.0 (§4.4 GLB layout, §5 properties). Belongs into a child process.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.images import size_of
from lerobot_arena.platform.catalog.limits import GlbLimits

_MAGIC, _VERSION, _JSON, _BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_DEEPEST = 64
# The run page has no decoders for them.
_UNREADABLE = {
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_texture_basisu",
    "EXT_texture_webp",
}


@dataclass(frozen=True, slots=True)
class GlbFacts:
    """A scene; `lower` and `upper` bound it, in its own metres."""

    triangles: int
    meshes: int
    nodes: int
    textures: int
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """For the answer of a child process."""
        return asdict(self)


def check(path: Path, limits: GlbLimits) -> GlbFacts:
    """Read all of the file. Raises InvalidInput with what is wrong with it."""
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise InvalidInput(f"The GLB has {size} bytes; {limits.file_bytes} is the limit.")
    document, binary = _chunks(path.read_bytes())
    try:
        _check_document(document, binary, limits)
        triangles = _Tree(document, limits).triangles()
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, struct.error) as error:
        raise InvalidInput(
            f"The GLB's JSON contradicts itself ({type(error).__name__}: {str(error)[:80]})."
        ) from error
    lower, upper = _bounds(path)
    meshes, nodes, textures = (len(document.get(key, [])) for key in ("meshes", "nodes", "textures"))
    return GlbFacts(triangles, meshes, nodes, textures, lower, upper)


def _chunks(data: bytes) -> tuple[Mapping[str, Any], bytes]:
    if len(data) < 20:
        raise InvalidInput("The scene is no GLB: it has less than 20 bytes.")
    magic, version, length = struct.unpack_from("<III", data)
    if magic != _MAGIC or version != _VERSION:
        raise InvalidInput("The scene is no GLB: it does not begin with 'glTF' and version 2.")
    if length != len(data):
        raise InvalidInput(f"The GLB says it has {length} bytes, but {len(data)} came.")
    found: list[tuple[int, bytes]] = []
    at = 12
    while at < length and len(found) < 8:
        if at + 8 > length:
            raise InvalidInput("The GLB is cut short in a chunk's head.")
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise InvalidInput("The GLB is cut short: a chunk is longer than the file.")
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if not found or found[0][0] != _JSON:
        raise InvalidInput("The GLB does not begin with its JSON chunk.")
    try:
        document = json.loads(found[0][1])
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The GLB's JSON chunk is no JSON.") from error
    binary = next((content for kind, content in found[1:] if kind == _BIN), b"")
    return strict.mapping(document, "The GLB's JSON"), binary


def _check_document(document: Mapping[str, Any], binary: bytes, limits: GlbLimits) -> None:
    needed = set(document.get("extensionsRequired", [])) & _UNREADABLE
    if needed:
        raise InvalidInput(f"The GLB needs {', '.join(sorted(needed))}; export it without compression.")
    for kind in ("buffers", "images"):
        for index, item in enumerate(document.get(kind, [])):
            if "uri" in item:
                raise InvalidInput(
                    f"The GLB's {kind}[{index}] lies outside its binary chunk (uri); embed it."
                )
    views = document.get("bufferViews", [])
    for index, view in enumerate(views):
        begin, size = view.get("byteOffset", 0), view["byteLength"]
        if view.get("buffer", 0) != 0 or begin < 0 or size < 0 or begin + size > len(binary):
            raise InvalidInput(f"The GLB's bufferViews[{index}] lies outside its binary chunk.")
    for index, item in enumerate(document.get("accessors", [])):
        if not 0 <= item["count"] <= 3 * limits.triangles + 3:
            raise InvalidInput(f"The GLB's accessors[{index}] has {item['count']} elements.")
    _check_images(document, views, binary, limits)


def _check_images(
    document: Mapping[str, Any], views: Sequence[Any], binary: bytes, limits: GlbLimits
) -> None:
    pixels = 0
    for index, item in enumerate(document.get("images", [])):
        view = views[item["bufferView"]]
        begin = view.get("byteOffset", 0)
        found = size_of(binary[begin : begin + view["byteLength"]])
        if found is None:
            raise InvalidInput(f"The GLB's images[{index}] is neither PNG nor JPEG.")
        pixels += found[0] * found[1]
        if pixels > limits.texture_pixels:
            raise InvalidInput(f"The GLB's images have more than {limits.texture_pixels} pixels.")


class _Tree:
    """Counts what would be drawn, each instance of a mesh for itself."""

    def __init__(self, document: Mapping[str, Any], limits: GlbLimits) -> None:
        self._document, self._limits = document, limits
        self._nodes = document.get("nodes", [])
        self._meshes = [self._of_mesh(mesh) for mesh in document.get("meshes", [])]
        self._visited = 0

    def triangles(self) -> int:
        """Of all scenes. Raises InvalidInput for none, too many, too many nodes, or a node below itself."""
        if not self._meshes:
            raise InvalidInput("The GLB has no mesh.")
        total = 0
        for scene in self._document.get("scenes", [{"nodes": list(range(len(self._nodes)))}]):
            for root in scene.get("nodes", []):
                total += self._below(root, 0)
        if total == 0:
            raise InvalidInput("The GLB has no triangles in its scenes.")
        if total > self._limits.triangles:
            raise InvalidInput(f"The GLB has {total} triangles; {self._limits.triangles} is the limit.")
        return total

    def _below(self, index: int, depth: int) -> int:
        self._visited += 1
        if self._visited > self._limits.nodes or depth > _DEEPEST:
            raise InvalidInput(
                f"The GLB has more than {self._limits.nodes} nodes, or nests them deeper than {_DEEPEST}."
            )
        if index < 0:
            raise IndexError(f"nodes[{index}]")
        node = self._nodes[index]
        own = self._meshes[node["mesh"]] if "mesh" in node else 0
        return own + sum(self._below(child, depth + 1) for child in node.get("children", []))

    def _of_mesh(self, mesh: Mapping[str, Any]) -> int:
        return sum(self._of_primitive(primitive) for primitive in mesh["primitives"])

    def _of_primitive(self, primitive: Mapping[str, Any]) -> int:
        accessors = self._document.get("accessors", [])
        which = primitive.get("indices", primitive["attributes"].get("POSITION"))
        count = accessors[which]["count"] if which is not None else 0
        mode = primitive.get("mode", _TRIANGLES)
        return count // 3 if mode == _TRIANGLES else max(0, count - 2) if mode in (_STRIP, _FAN) else 0


def _bounds(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """trimesh reads every buffer for this. Raises InvalidInput when it cannot, or when nothing finite comes out."""
    import numpy as np
    import trimesh

    try:
        bounds = trimesh.load_scene(path, file_type="glb").bounds
    except Exception as error:  # trimesh raises whatever its parts raise on bad indices and types
        raise InvalidInput(f"The GLB cannot be read: {type(error).__name__}: {str(error)[:160]}.") from error
    if bounds is None or not np.isfinite(bounds).all():
        raise InvalidInput("The GLB's vertices are not finite.")
    return tuple(map(float, bounds[0])), tuple(map(float, bounds[1]))
