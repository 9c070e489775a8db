# SPDX-License-Identifier: Apache-2.0
"""Zips that lie, lead out or explode, and GLBs that contradict themselves."""

import random
import struct
from collections.abc import Callable
from typing import Any

from lerobot_arena.testing.catalog_files import (
    Member,
    cart_xml,
    glb_bytes,
    png_header,
    robot_zip,
    triangle_document,
    zip_bytes,
)
from lerobot_arena.testing.catalog_hostile import Hostile

_MB = 1 << 20
GOOD = Member("robot.xml", cart_xml().encode())


def noise(size: int = 5000) -> bytes:
    """The same random bytes each time."""
    return random.Random(7).randbytes(size)


def _with(name: str | bytes, **member: Any) -> Callable[[], bytes]:
    return lambda: zip_bytes(GOOD, Member(name, b"<mujoco/>", **member))


def zips() -> list[Hostile]:
    """As a robot's bundle."""
    return [Hostile(f"zip_{name}", "robot", make, says) for name, says, make in _ZIPS]


_ZIPS: list[tuple[str, str, Callable[[], bytes]]] = [
    ("of_nothing", "empty", lambda: b""),
    ("that_is_noise", "cannot be read", noise),
    ("that_is_text", "cannot be read", lambda: b"<mujoco/>" * 100),
    ("without_members", "empty", lambda: zip_bytes()),
    ("cut_in_half", "cannot be read", lambda: robot_zip()[: len(robot_zip()) // 2]),
    ("without_its_beginning", "cannot be read", lambda: robot_zip()[60:]),
    ("cut_in_the_directory", "cannot be read", lambda: robot_zip()[:-30]),
    ("member_above", "leads out", _with("../evil.xml")),
    ("member_far_above", "leads out", _with("a/b/../../../../etc/cron.d/evil")),
    ("member_above_through_a_folder", "leads out", _with("assets/../../evil.xml")),
    ("member_that_is_above", "leads out", _with("..")),
    ("member_absolute", "absolute", _with("/etc/cron.d/evil")),
    ("member_absolute_twice", "absolute", _with("//etc/passwd")),
    ("member_on_a_drive", "plain names", _with("C:\\evil.xml")),
    ("member_with_backslashes", "plain names", _with("..\\..\\evil.xml")),
    ("member_with_nul", "plain names", _with(b"evil.xml\0.png")),
    ("member_with_newline", "plain names", _with("evil\n.xml")),
    ("member_with_escape", "plain names", _with("\x1b[2Jevil.xml")),
    ("member_right_to_left", "plain names", _with("evil\u202elmx.exe")),
    ("member_without_name", "plain names", _with("")),
    ("member_here", "plain names", _with("./evil.xml")),
    ("member_doubled_slash", "plain names", _with("a//evil.xml")),
    ("member_not_utf8", "cannot be read|plain names", _with(b"\xff\xfe.xml")),
    ("link_out", "link", lambda: zip_bytes(GOOD, Member("evil.xml", b"/etc/passwd", mode=0o120777))),
    ("link_as_entry", "link", lambda: zip_bytes(Member("robot.xml", b"/etc/passwd", mode=0o120777))),
    ("link_to_a_folder", "link", lambda: zip_bytes(GOOD, Member("assets", b"/", mode=0o120777))),
    ("pipe", "special", _with("pipe", mode=0o010644)),
    ("device", "special", _with("zero", mode=0o020644)),
    ("socket", "special", _with("door", mode=0o140644)),
    ("same_name_twice", "twice", _with("robot.xml")),
    ("same_name_in_capitals", "twice", _with("ROBOT.xml")),
    ("same_name_composed", "twice", lambda: zip_bytes(GOOD, Member("é.png"), Member("e\u0301.png"))),
    (
        "file_and_folder",
        "both as a file",
        lambda: zip_bytes(GOOD, Member("a", b"x"), Member("a/b.png", b"x")),
    ),
    ("encrypted", "encrypted", _with("evil.xml", flags=1)),
    ("packed_by_lzma", "deflate", _with("evil.xml", method=14)),
    ("packed_by_nothing_known", "deflate", _with("evil.xml", method=99)),
    ("bomb", "zip bomb", lambda: zip_bytes(GOOD, Member("zeros.stl", bytes(32 * _MB)))),
    ("bomb_of_one_member", "limit", _with("zeros.stl", claimed_size=0xFFFFFFFE)),
    (
        "bomb_of_many_members",
        "unpacks to",
        lambda: zip_bytes(
            GOOD,
            *(Member(f"{i}.stl", b"", packed=bytes(_MB), claimed_size=100 * _MB, method=0) for i in range(6)),
        ),
    ),
    (
        "of_too_many_members",
        "members",
        lambda: zip_bytes(GOOD, *(Member(f"{i}.png", b"") for i in range(2001))),
    ),
    (
        "members_that_overlap",
        "overlap",
        lambda: zip_bytes(
            GOOD,
            Member("a.stl", noise(90_000), method=0),
            *(
                Member(f"{i}.stl", noise(90_000), method=0, packed=b"", claimed_packed=90_000, at=0)
                for i in range(50)
            ),
        ),
    ),
    (
        "bomb_inside_a_zip",
        "no MJCF",
        lambda: zip_bytes(Member("inner.zip", zip_bytes(Member("z", bytes(4 * _MB))))),
    ),
    ("member_larger_than_it_says", "cannot be read", _with("a.stl", claimed_size=3)),
    ("member_smaller_than_it_says", "cannot be read|less", _with("a.stl", claimed_size=3000)),
    ("wrong_checksum", "cannot be read", _with("a.stl", crc=1)),
    ("two_names_for_one", "cannot be read", _with("a.stl", local_name=b"b.stl")),
    ("garbage_instead_of_deflate", "cannot be read", _with("a.stl", packed=noise(300))),
    ("packed_beyond_its_end", "overlap", _with("a.stl", claimed_packed=1 << 20)),
    ("path_too_deep", "deeper", _with("/".join("abcdefghijklmn") + ".xml")),
    ("path_too_long", "longer", _with("a" * 300 + ".xml")),
]


def _glb(change: Callable[[dict[str, Any]], object], binary: bytes | None = None) -> Callable[[], bytes]:
    def make() -> bytes:
        document, good = triangle_document()
        change(document)
        return glb_bytes(document, good if binary is None else binary)

    return make


def _cut(end: int) -> Callable[[], bytes]:
    return lambda: glb_bytes(*triangle_document())[:end]


def _fixed(document: bytes) -> bytes:
    return struct.pack("<IIIII", 0x46546C67, 2, 20 + len(document), len(document), 0x4E4F534A) + document


def _pictured(head: bytes) -> Callable[[], bytes]:
    def make() -> bytes:
        document, binary = triangle_document()
        document["images"] = [{"bufferView": 2, "mimeType": "image/png"}]
        document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(head)})
        document["buffers"][0]["byteLength"] += len(head)
        return glb_bytes(document, binary + head)

    return make


def _chained(count: int) -> dict[str, Any]:
    """Each node has the next one twice below it: 2^count instances."""
    return {"nodes": [{"children": [i + 1, i + 1]} for i in range(count)] + [{"mesh": 0}]}


def scenes() -> list[Hostile]:
    """As a scene."""
    return [Hostile(f"glb_{name}", "scene", make, says) for name, says, make in _SCENES]


_SCENES: list[tuple[str, str, Callable[[], bytes]]] = [
    ("of_nothing", "empty", lambda: b""),
    ("that_is_noise", "no GLB", noise),
    ("that_is_a_zip", "no GLB", robot_zip),
    ("cut_in_its_head", "no GLB", _cut(10)),
    ("cut_in_its_json", "bytes", _cut(100)),
    ("cut_in_its_buffer", "bytes", _cut(-8)),
    ("longer_than_it_says", "bytes", lambda: glb_bytes(*triangle_document()) + b"more"),
    ("of_version_1", "no GLB", lambda: struct.pack("<III", 0x46546C67, 1, 24) + bytes(12)),
    ("chunk_beyond_its_end", "cut short", lambda: struct.pack("<IIIII", 0x46546C67, 2, 20, 0xFFFFFFF0, 0x4E4F534A)),
    ("json_that_is_none", "no JSON", lambda: _fixed(b"{nope")),
    ("json_nested_deeply", "no JSON", lambda: _fixed(b"[" * 400_000)),
    ("json_that_is_a_list", "mapping", lambda: _fixed(b"[] ")),
    ("without_meshes", "no mesh", _glb(lambda d: d.pop("meshes"))),
    ("without_scenes_meshes", "no triangles", _glb(lambda d: d.update(scenes=[{"nodes": []}]))),
    ("node_below_itself", "nodes", _glb(lambda d: d.update(nodes=[{"mesh": 0, "children": [0]}]))),
    ("nodes_that_multiply", "nodes", _glb(lambda d: d.update(_chained(40)))),
    ("node_that_is_not_there", "contradicts", _glb(lambda d: d.update(nodes=[{"mesh": 7}]))),
    ("node_before_the_first", "contradicts", _glb(lambda d: d.update(nodes=[{"children": [-1], "mesh": 0}]))),
    ("too_many_triangles", "triangles|elements", _glb(lambda d: d["accessors"][1].update(count=2**31))),
    ("more_instances_than_allowed", "triangles|nodes", _glb(lambda d: d.update(
        nodes=[{"mesh": 0}] * 9000, scenes=[{"nodes": list(range(9000)) * 2}]))),
    ("count_that_is_a_text", "contradicts", _glb(lambda d: d["accessors"][1].update(count="3"))),
    ("view_beyond_the_buffer", "outside", _glb(lambda d: d["bufferViews"][0].update(byteLength=1 << 30))),
    ("view_before_the_buffer", "outside", _glb(lambda d: d["bufferViews"][0].update(byteOffset=-8))),
    ("buffer_in_another_file", "embed", _glb(lambda d: d["buffers"][0].update(uri="/etc/passwd"))),
    ("buffer_on_the_network", "embed", _glb(lambda d: d["buffers"][0].update(uri="http://169.254.169.254/"))),
    ("image_in_another_file", "embed", _glb(lambda d: d.update(images=[{"uri": "../../secret.png"}]))),
    ("image_of_too_many_pixels", "pixels", _pictured(png_header(60_000, 60_000))),
    ("image_that_is_none", "neither PNG", _pictured(b"<svg onload='alert(1)'/>")),
    ("compressed_by_draco", "draco", _glb(lambda d: d.update(extensionsRequired=["KHR_draco_mesh_compression"]))),
    ("vertices_not_finite", "finite|cannot be read", lambda: glb_bytes(*triangle_document((float("nan"),) * 9))),
    ("vertices_infinite", "finite|cannot be read", lambda: glb_bytes(*triangle_document((float("inf"),) * 9))),
    ("accessor_beyond_its_view", "cannot be read|outside|contradicts",
     _glb(lambda d: d["accessors"][0].update(count=3000))),
    ("accessor_of_no_type", "cannot be read|contradicts", _glb(lambda d: d["accessors"][0].update(componentType=1))),
    ("binary_missing", "outside", _glb(lambda d: None, binary=b"")),
]  # fmt: skip
