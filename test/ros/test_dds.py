# SPDX-License-Identifier: Apache-2.0
"""Profile selection and the shared-memory checks, without ROS."""

import fcntl
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.ros.dds import (
    DISCOVERY_VARIABLE,
    LOCAL,
    NETWORK,
    OWN,
    PROFILE_VARIABLES,
    apply_profile,
    check_shm,
    prepare,
    profile_path,
    remove_dead_segments,
)

_SPACE = {"p": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
_LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.mark.parametrize("kind", [LOCAL, NETWORK])
def test_both_variables_name_the_shipped_profile(kind: str) -> None:
    environment: dict[str, str] = {}
    profile = apply_profile(environment, kind)
    assert profile.kind == kind
    assert [environment[name] for name in PROFILE_VARIABLES] == [str(profile_path(kind))] * 2
    assert environment.get(DISCOVERY_VARIABLE) == ("LOCALHOST" if kind == LOCAL else None)


@pytest.mark.parametrize("variable", PROFILE_VARIABLES)
def test_the_users_profile_stays_and_is_named_in_both(variable: str, tmp_path: Path) -> None:
    own = tmp_path / "own.xml"
    own.write_text("<profiles/>")
    environment = {variable: str(own)}
    assert apply_profile(environment).kind == OWN
    assert {environment[name] for name in PROFILE_VARIABLES} == {str(own)}
    assert DISCOVERY_VARIABLE not in environment


def test_a_users_profile_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"/nowhere\.xml does not exist"):
        apply_profile({PROFILE_VARIABLES[1]: "/nowhere.xml"})


def test_an_empty_variable_counts_as_unset_and_a_wider_range_stays() -> None:
    environment = {PROFILE_VARIABLES[0]: "", DISCOVERY_VARIABLE: "SUBNET"}
    assert apply_profile(environment).kind == LOCAL
    assert environment[PROFILE_VARIABLES[0]] == str(profile_path(LOCAL))
    assert environment[DISCOVERY_VARIABLE] == "SUBNET"


def test_a_child_that_applies_again_sees_the_same_profile() -> None:
    environment: dict[str, str] = {}
    assert apply_profile(environment, NETWORK) == apply_profile(environment, LOCAL)


@pytest.mark.parametrize("kind", [LOCAL, NETWORK])
def test_profiles_hold_what_camera_frames_need(kind: str) -> None:
    root = ElementTree.parse(profile_path(kind)).getroot()
    text = {
        name: root.findtext(f".//p:{name}", namespaces=_SPACE) for name in ("segment_size", "maxMessageSize")
    }
    assert text == {"segment_size": "33554432", "maxMessageSize": "8388608"}
    assert root.findtext(".//p:useBuiltinTransports", namespaces=_SPACE) == "false"
    participant = root.find("p:participant", _SPACE)
    assert participant is not None and participant.get("is_default_profile") == "true"
    assert root.findtext(".//p:leaseDuration/p:sec", namespaces=_SPACE) == "3"
    assert root.findtext(".//p:leaseAnnouncement/p:sec", namespaces=_SPACE) == "1"
    addresses = [node.text for node in root.findall(".//p:interfaceWhiteList/p:address", _SPACE)]
    assert addresses == (["127.0.0.1"] if kind == LOCAL else [])


def _segment(folder: Path, name: str = "fastrtps_0123456789abcdef") -> tuple[Path, Path]:
    segment, lock = folder / name, folder / f"{name}_el"
    segment.write_bytes(b"x" * 8192)
    lock.touch()
    os.utime(lock, _LONG_AGO)
    return segment, lock


def test_an_unlocked_segment_is_removed_and_counted(tmp_path: Path) -> None:
    paths = _segment(tmp_path)
    removed = remove_dead_segments(tmp_path)
    assert removed.count == 1 and removed.size_bytes >= 8192
    assert not any(path.exists() for path in paths)


def test_a_held_segment_stays(tmp_path: Path) -> None:
    segment, lock = _segment(tmp_path)
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove_dead_segments(tmp_path).count == 0
    assert segment.exists() and lock.exists()


def test_a_segment_that_is_just_being_made_stays(tmp_path: Path) -> None:
    segment, lock = _segment(tmp_path)
    os.utime(lock)
    assert remove_dead_segments(tmp_path).count == 0
    assert segment.exists()


@pytest.mark.parametrize(
    "name",
    ["fastrtps_port7411_el", "fastrtps_0123456789abcdef", "sem.fastrtps_port7411_mutex", "fastrtps_short_el"],
)
def test_other_files_are_left_alone(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    os.utime(path, _LONG_AGO)
    assert remove_dead_segments(tmp_path).count == 0
    assert path.exists()


def test_too_little_shared_memory_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"6 processes need .*--shm-size=512m"):
        check_shm(6, folder=tmp_path, segment_bytes=10**15)
    check_shm(6, folder=tmp_path, segment_bytes=1)


def test_a_missing_folder_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="--shm-size"):
        check_shm(1, folder=tmp_path / "none")


def test_prepare_asks_nothing_of_shared_memory_under_the_users_own_profile(tmp_path: Path) -> None:
    own = tmp_path / "own.xml"
    own.write_text("<profiles/>")
    assert prepare({PROFILE_VARIABLES[0]: str(own)}, processes=10**9).kind == OWN
    with pytest.raises(Unavailable):
        prepare({}, processes=10**9)


def test_importable_without_rclpy() -> None:
    code = "import sys; sys.modules['rclpy'] = None; import lerobot_arena.ros.dds"
    subprocess.run([sys.executable, "-c", code], check=True)
