# SPDX-License-Identifier: Apache-2.0
"""`arena doctor`: what measurements mean, and the whole of it on this machine."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.cli.doctor import cameras, machine, middleware, policy, table
from lerobot_arena.cli.doctor.command import worst
from lerobot_arena.cli.doctor.finding import Context, Finding, Level, fail, ok, warn
from lerobot_arena.core.robot import load_robot


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(dict(os.environ), tmp_path, "http://127.0.0.1:9", 9)


def test_the_worst_finding_decides() -> None:
    good, so_so, bad = ok("a", ""), warn("b", "", why="", remedy=""), fail("c", "", why="", remedy="")
    assert worst([]) is Level.OK
    assert worst([good, so_so]) is Level.WARN
    assert worst([bad, so_so, good]) is Level.FAIL


def test_a_check_that_breaks_is_a_finding_and_hides_no_other(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: Context) -> list[Finding]:
        raise RuntimeError("boom")

    monkeypatch.setattr(table, "CHECKS", {"broken": broken, "python": machine.python})
    found = list(table.examine(context))
    assert [finding.level for finding in found] == [Level.FAIL, Level.OK]
    assert "boom" in found[0].what


@pytest.mark.parametrize(
    ("drift_ppm", "is_synchronised", "level"),
    [(3.0, True, Level.OK), (3.0, None, Level.OK), (3.0, False, Level.WARN), (-90000.0, True, Level.FAIL)],
)
def test_clocks(drift_ppm: float, is_synchronised: bool | None, level: Level) -> None:
    assert machine.clock_findings(drift_ppm=drift_ppm, is_synchronised=is_synchronised)[0].level is level


@pytest.mark.parametrize(
    ("returned", "p50_ms", "level"),
    [(60, 4.0, Level.OK), (60, 80.0, Level.WARN), (29, 4.0, Level.FAIL), (0, None, Level.FAIL)],
)
def test_round_trips(returned: int, p50_ms: float | None, level: Level) -> None:
    assert middleware.round_trip_finding(60, returned, p50_ms).level is level


def test_wheels_and_a_sourced_ros_are_never_mixed(tmp_path: Path) -> None:
    mixed = middleware.ros_finding(tmp_path, {"ROS_DISTRO": "jazzy"}, python_prefix=tmp_path)
    assert mixed.level is Level.FAIL and "venv" in mixed.remedy
    assert middleware.ros_finding(tmp_path, {}, python_prefix=tmp_path).level is Level.OK
    assert (
        middleware.ros_finding(Path("/opt/ros/jazzy"), {"ROS_DISTRO": "jazzy"}, python_prefix=tmp_path).level
        is Level.OK
    )


def test_a_foreign_middleware_is_a_warning(context: Context) -> None:
    zenoh = replace(context, environment={**context.environment, "RMW_IMPLEMENTATION": "rmw_zenoh_cpp"})
    assert middleware.profile(zenoh)[0].level is Level.WARN


def test_a_profile_that_is_not_there_fails(context: Context) -> None:
    wrong = replace(context, environment={"FASTRTPS_DEFAULT_PROFILES_FILE": "/nowhere.xml"})
    assert middleware.profile(wrong)[0].level is Level.FAIL


def test_camera_loss_is_blamed_on_the_publishers_segment() -> None:
    robot = load_robot("so101")
    measured = {
        "/arm/cameras/front/image_raw": {"received": 40, "lost": 50, "rate_hz": 30.0, "seconds": 3.0},
        "/arm/cameras/wrist/image_raw": {"received": 30, "lost": 0, "rate_hz": 10.0, "seconds": 3.0},
    }
    front, wrist = cameras.loss_findings(measured, robot)
    assert front.level is Level.WARN and "50 of 90" in front.what and "publisher" in front.why
    assert wrist.level is Level.OK and "10.0 Hz" in wrist.what


def test_a_camera_slower_than_promised_and_one_that_is_silent() -> None:
    robot = load_robot("so101")
    topic = "/arm/cameras/front/image_raw"
    slow = cameras.loss_findings({topic: {"received": 30, "lost": 0, "rate_hz": 10.0, "seconds": 3.0}}, robot)
    assert slow[0].level is Level.WARN and "30 Hz" in slow[0].what
    silent = cameras.loss_findings({topic: {"received": 0, "lost": 0, "rate_hz": 0.0, "seconds": 3.0}}, robot)
    assert silent[0].level is Level.FAIL
    assert cameras.loss_findings({}, robot)[0].level is Level.WARN


def test_a_policys_camera_must_be_there_in_its_size() -> None:
    robot = load_robot("so101")
    assert policy.camera_finding("front", (640, 480), 30.0, robot).level is Level.OK
    assert policy.camera_finding("top", (640, 480), 30.0, robot).level is Level.FAIL
    assert policy.camera_finding("front", (320, 240), 30.0, robot).level is Level.FAIL
    assert policy.camera_finding("wrist", (640, 480), 30.0, robot).level is Level.WARN


def test_an_unknown_robot_names_those_there_are(context: Context) -> None:
    finding = policy.robot(replace(context, robot="so999"))[0]
    assert finding.level is Level.FAIL and "so101" in finding.what


def test_a_policy_folder_that_is_none_is_refused_with_the_reason(context: Context, tmp_path: Path) -> None:
    finding = policy.policy(replace(context, policy=str(tmp_path / "nothing")))[0]
    assert finding.level is Level.FAIL and "nothing" in finding.what


def test_a_taken_port_is_told_from_a_running_bridge(context: Context, bridge: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = replace(context, port=other.getsockname()[1])
        assert machine.port(taken)[0].level is Level.FAIL
    bridge.on("GET", "/health", {"status": "healthy", "active_sessions": 0})
    running = replace(context, port=int(bridge.url.rsplit(":", 1)[1]), url=bridge.url)
    assert "is running" in machine.port(running)[0].what


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_data_folder_that_cannot_be_written_fails(context: Context) -> None:
    assert machine.disk(replace(context, data_dir=Path("/proc/arena")))[0].level is Level.FAIL


@pytest.mark.ros
def test_missed_frames_are_counted_by_the_gaps_between_stamps() -> None:
    from lerobot_arena.ros.probe import loss, stamp_ns_in

    stamps = [n * 33_000_000 for n in range(10) if n not in {4, 5}]
    assert loss(stamps) == {"received": 8, "lost": 2, "rate_hz": 30.3}
    assert loss([]) == {"received": 0, "lost": 0, "rate_hz": 0.0}
    assert stamp_ns_in(bytes([0, 1, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0])) == 2_000_000_005
    assert stamp_ns_in(bytes([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5])) == 2_000_000_005


@pytest.mark.ros
@pytest.mark.slow
def test_the_whole_of_it_on_this_machine(ros_domain: int, data_dir: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "lerobot_arena.cli.app", "doctor", "--json", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    report = json.loads(done.stdout)
    found = {finding["check"]: finding for finding in report["findings"]}
    assert found.keys() >= {
        "python",
        "ros",
        "messages",
        "dds",
        "shm",
        "round trip",
        "gl",
        "port",
        "disk",
        "clock",
    }
    for finding in report["findings"]:
        assert finding["level"] == "ok" or (finding["why"] and finding["remedy"]), finding
    assert "of 60 frames" in found["round trip"]["what"]
    assert (done.returncode == 1) == (report["worst"] == "fail")
