# SPDX-License-Identifier: Apache-2.0
"""Bundles that are good, in every layout people use, and that no name ever leads out of one."""

import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import bundle, mjcf
from lerobot_arena.platform.catalog.limits import ModelLimits, ZipLimits
from lerobot_arena.testing.catalog_files import Member, cart_xml, robot_zip, zip_bytes

LIMITS = ZipLimits()
_CORNERS = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
_FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]


def stl() -> bytes:
    """A tetrahedron."""
    faces = b"".join(
        struct.pack("<3f", 0, 0, 0) + b"".join(struct.pack("<3f", *_CORNERS[i]) for i in face) + b"\0\0"
        for face in _FACES
    )
    return bytes(80) + struct.pack("<I", len(_FACES)) + faces


MESH = '<asset><mesh name="m" file="m.stl"/></asset>'


def entry_of(folder: Path, archive: bytes, wanted: str | None = None) -> str:
    """Unpacked, checked and compiled, as publishing does it."""
    pytest.importorskip("mujoco")
    from lerobot_arena.platform.catalog import robot_model

    (folder / "r.zip").write_bytes(archive)
    members = bundle.unpack(folder / "r.zip", folder / "in", LIMITS)
    entry = mjcf.find_entry(folder / "in", members, wanted, ModelLimits())
    return robot_model.compiled(folder / "in", entry, ModelLimits()).entry


def xml(extra: str = "") -> bytes:
    return cart_xml(extra=extra).encode()


INCLUDE = b'<mujocoinclude><asset><mesh name="m" file="m.stl"/></asset></mujocoinclude>'
LAYOUTS: dict[str, tuple[str, bytes]] = {
    "one_file": ("robot.xml", robot_zip()),
    "with_a_mesh": ("robot.xml", robot_zip(cart_xml(extra=MESH), Member("m.stl", stl()))),
    "in_a_folder": ("cart/robot.xml", zip_bytes(Member("cart/", b"", mode=0o040755), Member("cart/robot.xml", xml()))),
    "meshes_below": (
        "robot.xml",
        robot_zip(cart_xml(extra=f'<compiler meshdir="assets/"/>{MESH}'), Member("assets/m.stl", stl())),
    ),
    "meshes_beside": (
        "xmls/robot.xml",
        zip_bytes(
            Member("xmls/robot.xml", xml(f'<compiler meshdir="../assets"/>{MESH}')), Member("assets/m.stl", stl())
        ),
    ),
    "meshes_above": (
        "xmls/robot.xml",
        zip_bytes(Member("xmls/robot.xml", xml(f'<compiler meshdir=".."/>{MESH}')), Member("m.stl", stl())),
    ),
    "scene_includes_robot": (
        "scene.xml",
        zip_bytes(
            Member("scene.xml", xml('<include file="cart.xml"/>')), Member("cart.xml", INCLUDE), Member("m.stl", stl())
        ),
    ),
    "usual_name_of_several": (
        "scene.xml",
        zip_bytes(Member("scene.xml", xml()), Member("other.xml", xml()), Member("deep/third.xml", xml())),
    ),
    "other_xml_beside": (
        "robot.xml",
        robot_zip(None, Member("package.xml", b'<package><mesh file="package://cart/m.stl"/></package>')),
    ),
    "names_with_letters_of_all_kinds": ("робот/車.xml", zip_bytes(Member("робот/車.xml", xml()))),
    "stored_not_packed": ("robot.xml", zip_bytes(Member("robot.xml", xml(), method=0))),
    "made_on_windows": ("robot.xml", zip_bytes(Member("robot.xml", xml(), mode=0))),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_entry_is_found_and_compiles(layout: str, tmp_path: Path) -> None:
    expected, archive = LAYOUTS[layout]
    assert entry_of(tmp_path, archive) == expected


def test_the_publisher_may_name_another_entry(tmp_path: Path) -> None:
    assert entry_of(tmp_path, LAYOUTS["usual_name_of_several"][1], "./deep/third.xml") == "deep/third.xml"


def test_a_zip_made_by_python_or_by_us_is_good(tmp_path: Path) -> None:
    folder = tmp_path / "robot"
    (folder / "assets").mkdir(parents=True)
    (folder / "robot.xml").write_text(cart_xml())
    (folder / "assets" / "m.stl").write_bytes(stl())
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / "link.xml").symlink_to("/etc/passwd")
    bundle.pack(folder, tmp_path / "ours.zip")
    with zipfile.ZipFile(tmp_path / "python.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.write(folder / "robot.xml", "robot.xml")
    assert bundle.unpack(tmp_path / "ours.zip", tmp_path / "a", LIMITS) == ["assets/m.stl", "robot.xml"]
    assert bundle.unpack(tmp_path / "python.zip", tmp_path / "b", LIMITS) == ["robot.xml"]
    assert (tmp_path / "a/robot.xml").read_text() == cart_xml()


def test_the_same_folder_is_the_same_zip(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "b").mkdir(parents=True)
        for file in ("z.xml", "a.xml", "b/c.xml") if name == "one" else ("b/c.xml", "a.xml", "z.xml"):
            (tmp_path / name / file).write_text(file)
        bundle.pack(tmp_path / name, tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_nothing_is_written_when_any_member_is_bad(tmp_path: Path) -> None:
    (tmp_path / "r.zip").write_bytes(robot_zip(None, Member("../evil.xml", b"x")))
    with pytest.raises(InvalidInput):
        bundle.unpack(tmp_path / "r.zip", tmp_path / "in", LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["r.zip"]


_NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b.xml", "C:", "~", "a\\b", "\0", " ", "é"]), min_size=1, max_size=5
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(_NAMES.map("/".join), min_size=1, max_size=4))
def test_no_name_leads_out_of_the_folder(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("zip")
    (folder / "r.zip").write_bytes(zip_bytes(*(Member(name, b"evil") for name in names)))
    try:
        written = bundle.unpack(folder / "r.zip", folder / "a/b/in", LIMITS)
    except InvalidInput:
        written = []
    inside = {path for path in (folder / "a/b/in").rglob("*") if path.is_file()}
    assert {path for path in folder.rglob("*") if path.is_file()} == inside | {folder / "r.zip"}
    assert len(inside) == len(written)


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        ("m.stl", True),
        ("a/../m.stl", True),
        ("../xmls/m.stl", True),
        ("../../m.stl", False),
        ("a/../../../m.stl", False),
        ("/m.stl", False),
        ("~/m.stl", False),
        ("C:/m.stl", False),
        ("file:///m.stl", False),
        ("a\\..\\m.stl", False),
        ("a&#9;b", False),
    ],
)
def test_a_reference_stays_inside_from_wherever_it_counts(value: str, stays: bool, tmp_path: Path) -> None:
    folder = tmp_path / "xmls"
    folder.mkdir()
    (folder / "robot.xml").write_text(f'<mujoco><asset><mesh file="{value}"/></asset></mujoco>')
    found = ["xmls/robot.xml"]
    if stays:
        assert mjcf.find_entry(tmp_path, found, None, ModelLimits()) == found[0]
    else:
        with pytest.raises(InvalidInput, match="outside the bundle"):
            mjcf.find_entry(tmp_path, found, None, ModelLimits())
