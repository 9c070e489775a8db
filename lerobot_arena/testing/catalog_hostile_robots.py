# SPDX-License-Identifier: Apache-2.0
"""Robots whose XML leads out of its bundle, or has MuJoCo build more than there is room for."""

import struct
from collections.abc import Callable

from lerobot_arena.testing.catalog_files import Member, cart_xml, png_header, robot_zip, zip_bytes
from lerobot_arena.testing.catalog_hostile import Hostile

_OUT = "outside the bundle"
_BODY = '<body><joint name="j"/><geom size=".1"/></body>'


def _xml(text: str, *more: Member) -> Callable[[], bytes]:
    return lambda: robot_zip(text, *more)


def _extra(extra: str, *more: Member) -> Callable[[], bytes]:
    return lambda: robot_zip(cart_xml(extra=extra), *more)


def _asset(element: str, *more: Member, compiler: str = "") -> Callable[[], bytes]:
    return _extra(f"<compiler {compiler}/><asset>{element}</asset>", *more)


def _world(inside: str, *more: Member) -> Callable[[], bytes]:
    return _xml(f"<mujoco><worldbody>{_BODY}{inside}</worldbody></mujoco>", *more)


def _meshed(data: bytes, name: str = "m.stl") -> Callable[[], bytes]:
    return _asset(f'<mesh name="m" file="{name}"/>', Member(name, data))


def _only(name: str, text: str) -> Callable[[], bytes]:
    return lambda: zip_bytes(Member(name, text.encode()))


def _lol() -> str:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{entities}]><mujoco model="&a9;"/>'


def _nested(count: int) -> str:
    return f"<mujoco><worldbody>{'<body>' * count}{'</body>' * count}</worldbody></mujoco>"


def _joints(count: int) -> str:
    bodies = "".join(f'<body><joint name="j{i}"/><geom size=".1"/></body>' for i in range(count))
    return f"<mujoco><worldbody>{bodies}</worldbody></mujoco>"


def _replicated(inner: str, *counts: int) -> str:
    for count in counts:
        inner = f'<replicate count="{count}" offset="1 0 0">{inner}</replicate>'
    return inner


def robots() -> list[Hostile]:
    """As a robot's bundle."""
    return [
        Hostile(f"robot_{name}", "robot", make, says, entry=entry)
        for name, says, make, entry in (*_named(), *((*row, None) for row in _ROBOTS))
    ]


def _named() -> list[tuple[str, str, Callable[[], bytes], str | None]]:
    """Whose publisher names an entry."""
    return [
        ("entry_that_is_not_there", "entryXmlPath", robot_zip, "scene.xml"),
        ("entry_above", "entryXmlPath", robot_zip, "../../../../etc/passwd"),
        ("entry_absolute", "entryXmlPath", robot_zip, "/etc/passwd"),
        ("entry_that_is_a_mesh", "entryXmlPath", lambda: robot_zip(None, Member("a.stl", b"x")), "a.stl"),
        ("entry_with_nul", "entryXmlPath", robot_zip, "robot.xml\0"),
    ]


_ROBOTS: list[tuple[str, str, Callable[[], bytes]]] = [
    ("without_xml", "no MJCF", _only("readme.txt", "hello")),
    ("whose_xml_is_html", "no MJCF|root element", _only("robot.xml", "<html><script>alert(1)</script></html>")),
    ("whose_xml_is_cut_short", "no XML", _xml(cart_xml()[:300])),
    ("whose_xml_is_noise", "no XML", _xml("\x01\x02\x03")),
    ("whose_xml_is_empty", "no XML", _xml("")),
    ("that_is_a_urdf", "no MJCF|URDF", _xml('<robot name="r"><link name="l"/></robot>')),
    ("of_two_models", "several models", lambda: zip_bytes(
        Member("a.xml", cart_xml().encode()), Member("b.xml", cart_xml().encode()))),
    ("entities_that_multiply", "DOCTYPE", lambda: robot_zip(_lol())),
    ("entity_of_a_file", "DOCTYPE", _xml(
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><mujoco model="&e;"/>')),
    ("entity_of_the_network", "DOCTYPE", _xml(
        '<!DOCTYPE x SYSTEM "http://169.254.169.254/x.dtd"><mujoco/>')),
    ("of_too_many_elements", "elements", lambda: robot_zip(
        f"<mujoco><worldbody>{'<site/>' * 100_001}</worldbody></mujoco>")),
    ("nested_too_deeply", "nests|deeper", lambda: robot_zip(_nested(5000))),
    ("includes_a_system_file", _OUT, _extra('<include file="/etc/passwd"/>')),
    ("includes_from_above", _OUT, _extra('<include file="../../../../etc/passwd"/>')),
    ("includes_another_kind", "must be .xml", _extra('<include file="a.txt"/>', Member("a.txt", b"<mujoco/>"))),
    ("includes_itself", "compile", _extra('<include file="robot.xml"/>')),
    ("includes_in_a_circle", "compile", _extra(
        '<include file="a.xml"/>', Member("a.xml", b'<mujocoinclude><include file="robot.xml"/></mujocoinclude>'))),
    ("included_file_leads_out", _OUT, _extra(
        '<include file="a.xml"/>',
        Member("a.xml", b'<mujocoinclude><asset><mesh file="/etc/passwd"/></asset></mujocoinclude>'))),
    ("attaches_a_system_file", _OUT, _asset('<model name="m" file="/etc/hosts.xml"/>')),
    ("attaches_a_binary", "must be .xml", _asset('<model name="m" file="m.mjb"/>', Member("m.mjb", b"x" * 99))),
    ("mesh_of_a_system_file", _OUT, _asset('<mesh name="m" file="/etc/passwd"/>')),
    ("mesh_from_above", _OUT, _asset('<mesh name="m" file="../../secret.stl"/>')),
    ("mesh_through_a_folder", _OUT, _asset('<mesh name="m" file="a/../../secret.stl"/>')),
    ("mesh_on_the_network", _OUT, _asset('<mesh name="m" file="http://169.254.169.254/m.stl"/>')),
    ("mesh_of_memory", _OUT, _asset('<mesh name="m" file="/proc/self/mem"/>')),
    ("mesh_with_backslashes", _OUT, _asset('<mesh name="m" file="..\\..\\secret.stl"/>')),
    ("meshdir_absolute", _OUT, _asset('<mesh name="m" file="passwd"/>', compiler='meshdir="/etc"')),
    ("meshdir_above", _OUT, _asset('<mesh name="m" file="passwd"/>', compiler='meshdir="../../../etc"')),
    ("texturedir_above", _OUT, _asset("", compiler='texturedir="../.."')),
    ("assetdir_at_home", _OUT, _asset('<mesh name="m" file="id_rsa"/>', compiler='assetdir="~/.ssh"')),
    ("hfield_without_end", _OUT, _asset('<hfield name="h" file="/dev/zero" size="1 1 1 1"/>')),
    ("skin_of_a_system_file", _OUT, _asset('<skin name="s" file="/etc/passwd"/>')),
    ("texture_face_of_a_system_file", _OUT, _asset('<texture name="t" type="cube" fileright="/etc/passwd"/>')),
    ("flex_of_a_system_file", _OUT, _world('<flexcomp name="f" type="mesh" file="/etc/passwd"/>')),
    ("mesh_that_is_missing", "compile", _asset('<mesh name="m" file="m.stl"/>')),
    ("mesh_that_is_empty", "compile", _meshed(b"")),
    ("mesh_that_is_noise", "compile", _meshed(b"\x80\x13" * 500)),
    ("mesh_cut_short", "compile", _meshed(bytes(80) + struct.pack("<I", 12) + bytes(100))),
    ("mesh_of_four_billion_faces", "compile|memory|crash", _meshed(
        bytes(80) + struct.pack("<I", 0xFFFFFFFF) + bytes(500))),
    ("mesh_not_finite", "compile", _meshed(
        bytes(80) + struct.pack("<I", 4) + (struct.pack("<12f", *[float("nan")] * 12) + b"\0\0") * 4)),
    ("mesh_obj_of_nonsense", "compile|crash", _meshed(b"v 0 0 0\nf 1 2 999999999\nf -5 -6 -7\n", "m.obj")),
    ("mesh_msh_of_too_much", "compile|memory|crash", _meshed(struct.pack("<4i", 2**30, 2**30, 2**30, 2**30), "m.msh")),
    ("texture_that_is_noise", "compile", _asset(
        '<texture name="t" type="2d" file="t.png"/>', Member("t.png", b"\x89PNG\r\n\x1a\nnope"))),
    ("texture_of_too_many_pixels", "compile|memory", _asset(
        '<texture name="t" type="2d" file="t.png"/>', Member("t.png", png_header(60_000, 60_000) + bytes(100)))),
    ("texture_built_too_large", "compile|memory|crash", _asset(
        '<texture name="t" type="2d" builtin="flat" width="200000" height="200000"/>')),
    ("hfield_too_large", "compile|memory|crash", _asset(
        '<hfield name="h" nrow="100000" ncol="100000" size="1 1 1 1"/>')),
    ("size_too_large", "compile|memory|crash|not run", _extra('<size memory="100000G"/>')),
    ("numbers_that_are_none", "compile", _world('<geom size="nan"/><geom size="banana"/>')),
    ("unknown_elements", "compile", _extra("<script>import os</script>")),
    ("unknown_plugin", "compile", _extra('<extension><plugin plugin="evil.plugin"/></extension>')),
    ("body_without_mass", "compile", _xml(
        '<mujoco><worldbody><body><joint name="j"/></body></worldbody></mujoco>')),
    ("without_joints", "no hinge", _xml(
        '<mujoco><worldbody><body><freejoint/><geom size=".1"/></body></worldbody></mujoco>')),
    ("of_too_many_joints", "degrees of freedom", lambda: robot_zip(_joints(600))),
    ("of_too_many_geoms", "geoms", lambda: _world(_replicated('<geom size=".1"/>', 150, 140))()),
    ("that_multiplies", "elements", lambda: _world(
        _replicated('<geom size=".1"/>', 1000, 1000, 1000))()),
    ("grid_that_multiplies", "elements", _world(
        '<flexcomp name="f" type="grid" count="500 500 500" spacing=".1 .1 .1" mass="1" dim="3"/>')),
]  # fmt: skip
