# SPDX-License-Identifier: Apache-2.0
"""What keeps `arena up` and `arena demo` from starting; and that nothing was started then."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.cli.supervisor.lock import held, lock_paths
from lerobot_arena.ros import dds


def arena(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def free_port(data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A port, in a domain and temporary folder of its own, so that no other run is in the way."""
    monkeypatch.setenv("ROS_DOMAIN_ID", "231")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    yield port


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_second_run_is_refused_and_told_of_the_first(free_port: str, data_dir: Path, command: str) -> None:
    with held(lock_paths(data_dir, "arm", {"ROS_DOMAIN_ID": "231"})[:1], owner={"arm": "arm", "port": 8001}):
        result = arena(command, "--port", free_port)
    assert result.exit_code == 1
    assert "Another run holds" in result.stderr and "port 8001" in result.stderr


def test_the_same_arm_from_another_data_folder_is_refused_too(free_port: str, data_dir: Path) -> None:
    with held(lock_paths(data_dir, "arm", {"ROS_DOMAIN_ID": "231"})[1:], owner={"arm": "arm"}):
        assert arena("up", "--port", free_port).exit_code == 1


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_taken_port_is_said_before_anything_starts(free_port: str, command: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(free_port)))
        other.listen()
        result = arena(command, "--port", free_port)
    assert result.exit_code == 1
    assert f"Port {free_port} is taken" in result.stderr and "--port" in result.stderr


def test_a_small_dev_shm_is_refused_with_the_remedy(free_port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dds.check_shm, "__kwdefaults__", {"folder": dds.SHM_FOLDER, "segment_bytes": 10**15})
    result = arena("up", "--port", free_port)
    assert result.exit_code == 1
    assert "--shm-size=512m" in result.stderr


def test_a_lerobot_arm_without_its_config_is_wrong_usage(free_port: str) -> None:
    result = arena("up", "--robot", "lerobot", "--port", free_port)
    assert result.exit_code == 2
    assert "arena robot add" in result.stderr


@pytest.mark.parametrize(
    "wrong", [["--robot", "isaac"], ["--port", "0"], ["--arm", "my arm"], ["--params-file", "/no"]]
)
def test_wrong_options_are_wrong_usage(free_port: str, wrong: list[str]) -> None:
    assert arena("up", "--port", free_port, *wrong).exit_code == 2


def test_a_dds_profile_that_is_not_there_is_wrong_configuration(
    free_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/nowhere.xml")
    result = arena("up", "--port", free_port)
    assert result.exit_code == 2
    assert "/nowhere.xml" in result.stderr


def test_help_shows_every_command_with_what_it_does() -> None:
    text = arena("--help").stdout
    for name in (
        "demo",
        "up",
        "doctor",
        "session",
        "estop",
        "reset",
        "status",
        "robot",
        "export",
        "train-demo",
    ):
        assert name in text
    assert arena("sesion").exit_code == 2
