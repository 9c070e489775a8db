# SPDX-License-Identifier: Apache-2.0
"""Settings, parameters, logs and the machine's load."""

import logging
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from lerobot_arena.bridge.logs import LogEntry, RingHandler, RingLog
from lerobot_arena.bridge.machine import parse_nvidia_smi, system_info
from lerobot_arena.bridge.params import BridgeParams
from lerobot_arena.bridge.server import open_socket
from lerobot_arena.bridge.settings import Settings, settings_from
from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.params import yaml_text
from lerobot_arena.testing.bridge_rig import Rig

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ARENA_", "HF_"))]:
        monkeypatch.delenv(name)


def test_the_shipped_parameter_file_is_the_generated_one() -> None:
    assert (ROOT / "config" / "bridge.yaml").read_text() == yaml_text("bridge", BridgeParams)


def test_the_environment_is_read_and_parameters_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (settings_from(BridgeParams()).bridge_host, settings_from(BridgeParams()).bridge_port) == (
        "127.0.0.1",
        8001,
    )
    monkeypatch.setenv("ARENA_BRIDGE_PORT", "9001")
    monkeypatch.setenv("ARENA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ARENA_POLICY_ROOTS", f"{tmp_path}/a:{tmp_path}/b")
    monkeypatch.setenv("ARENA_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    settings = settings_from(BridgeParams())
    assert settings.bridge_port == 9001
    assert settings.roots == (tmp_path / "a", tmp_path / "b")
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.database == f"sqlite:///{tmp_path}/arena.db"
    assert settings_from(BridgeParams(port=0, policy_roots=("/x",))).bridge_port == 0
    assert settings_from(BridgeParams(policy_roots=("/x",))).roots == (Path("/x"),)


def test_policies_lie_in_the_data_folder_by_default(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).roots == (tmp_path / "policies",)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "arena.example"])
def test_an_address_that_others_reach_is_known_as_such(host: str) -> None:
    settings = settings_from(BridgeParams(host=host))
    assert settings.is_beyond_loopback and host in settings.own_names


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_is_fine(host: str) -> None:
    settings = settings_from(BridgeParams(host=host))
    assert settings.bridge_host == host and not settings.is_beyond_loopback


@pytest.mark.parametrize("name", ["ARENA_RATE_LIMIT_ADDRESS", "ARENA_TLS_CERT"])
def test_a_rate_or_certificate_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "often")
    with pytest.raises(InvalidInput, match=r"not a rate|go together"):
        settings_from(BridgeParams())


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_BRIDGE_PORT", "web")
    with pytest.raises(InvalidInput, match="bridge_port"):
        settings_from(BridgeParams())


def test_a_taken_port_is_refused_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable, match="ARENA_BRIDGE_PORT"):
            open_socket(Settings(bridge_port=taken.getsockname()[1]))


async def test_logs_are_real_bounded_and_without_tracebacks(rig: Rig) -> None:
    log = logging.getLogger("test.logs")
    handler = RingHandler(rig.services.logs)
    log.addHandler(handler)
    try:
        log.warning("number %d", 7)
        try:
            raise ValueError("the reason")
        except ValueError:
            log.exception("it failed")
    finally:
        log.removeHandler(handler)
    rig.services.logs.add(LogEntry(1.0, "INFO", "arm.guard", "from ROS"))
    body = (await rig.http.get("/debug/logs")).json()
    assert body["active_sessions"] == 0 and isinstance(body["message"], str)
    assert [entry["message"] for entry in body["logs"]] == [
        "number 7",
        "it failed (ValueError: the reason)",
        "from ROS",
    ]
    assert body["logs"][0].keys() == {"time", "level", "source", "message"}
    small = RingLog(kept=3)
    for number in range(10):
        small.add(LogEntry(0.0, "INFO", "x", str(number)))
    assert [entry["message"] for entry in small.newest()] == ["7", "8", "9"]


async def test_the_machines_load_has_the_fields_and_no_gpu_where_there_is_none(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    info = (await rig.http.get("/debug/system")).json()
    assert set(info) == {"cpu_percent", "memory", "disk"}
    assert set(info["memory"]) == {"total", "available", "percent"} and info["memory"]["total"] > 0
    assert set(info["disk"]) == {"total", "used", "percent"} and info["disk"]["total"] > 0


async def test_a_gpu_is_asked_of_nvidia_smi_which_may_hang(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint('RTX 4090, 1024, 16')\nprint('RTX 4090, 5, 16')\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (await system_info(tmp_path))["gpu"] == {
        "device_count": 2,
        "current_device": 0,
        "device_name": "RTX 4090",
        "memory_allocated": 1024 * 1024 * 1024,
        "memory_cached": 16 * 1024 * 1024,
    }
    monkeypatch.setattr("lerobot_arena.bridge.machine._GPU_TIMEOUT_S", 0.3)
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    assert "gpu" not in await system_info(tmp_path / "not" / "there")


def test_what_nvidia_smi_may_print_instead() -> None:
    assert parse_nvidia_smi("") is None
    assert parse_nvidia_smi("No devices were found") is None
    partly = parse_nvidia_smi("GB10, [N/A], [N/A]\n")
    assert partly is not None and partly["memory_allocated"] == 0
