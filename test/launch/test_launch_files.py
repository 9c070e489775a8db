# SPDX-License-Identifier: Apache-2.0
"""The launch files, run by ROS 2's own launch. They run wherever `launch` is: a sourced ROS 2, or source installs."""

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_ros", reason="ROS 2's launch is not on PyPI: this runs where ROS 2 is sourced")
launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch_pytest is missing: apt install ros-*-launch-pytest"
)

import launch  # noqa: E402
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription  # noqa: E402
from launch.event_handlers import OnProcessExit, OnProcessStart  # noqa: E402
from launch.events.process import ProcessExited, ProcessStarted  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

from lerobot_arena.bringup import BringupOptions, process_table  # noqa: E402

# launch 3.4 under Python 3.12 asks for an event loop before there is one.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FOLDER = Path(__file__).parents[2] / "launch"
ARENA, BRIDGE = FOLDER / "arena.launch.py", FOLDER / "bridge.launch.py"
EXPECTED_ARGUMENTS = {
    "robot",
    "policy_path",
    "session",
    "namespace",
    "use_sim_time",
    "params_file",
    "log_level",
    "robot_file",
    "port",
    "start",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def declared(file: Path) -> dict[str, Any]:
    source = PythonLaunchDescriptionSource(str(file))
    description = source.get_launch_description(launch.LaunchContext())
    return {a.name: a for a in description.entities if isinstance(a, DeclareLaunchArgument)}


@pytest.mark.parametrize("file", [ARENA, BRIDGE], ids=lambda file: file.name)
def test_every_argument_is_described(file: Path) -> None:
    for name, argument in declared(file).items():
        assert len(argument.description) > 10, name
        assert argument.default_value is not None, f"{name} would have to be given"


def test_the_arguments_a_user_expects_are_there_with_their_choices() -> None:
    arguments = declared(ARENA)
    assert arguments.keys() >= EXPECTED_ARGUMENTS
    assert arguments["robot"].choices == ["mujoco", "lerobot", "topics"]
    assert arguments["use_sim_time"].choices == ["true", "false"]
    assert arguments["start"].default_value[0].text == "false", "nothing may move by default"


class Watched:
    """A description of one launch file, and what its processes did."""

    def __init__(self, file: Path, **arguments: str) -> None:
        self.started: dict[str, list[str]] = {}
        self.ended: dict[str, int] = {}
        self.description = launch.LaunchDescription(
            [
                launch.actions.RegisterEventHandler(OnProcessStart(on_start=self._on_start)),
                launch.actions.RegisterEventHandler(OnProcessExit(on_exit=self._on_exit)),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(file)), launch_arguments=arguments.items()
                ),
            ]
        )

    def _on_start(self, event: ProcessStarted, context: Any) -> None:
        self.started[event.process_name.rsplit("-", 1)[0]] = list(event.cmd)

    def _on_exit(self, event: ProcessExited, context: Any) -> None:
        self.ended[event.process_name.rsplit("-", 1)[0]] = event.returncode

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what}; started {self.started}, ended {self.ended}"
            time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@launch_pytest.fixture
def arena(ros_domain: int, data_dir: Path) -> tuple[Any, Watched, int]:
    port = free_port()
    watched = Watched(ARENA, port=str(port), seed="3", session="s", policy_path="hold", start="true")
    return watched.description, watched, port


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.launch(fixture=arena)
def test_the_whole_table_comes_up_runs_a_session_and_ends_cleanly(
    arena: tuple[Any, Watched, int],
) -> Iterator[None]:
    _, watched, port = arena
    names = {spec.name for spec in process_table(BringupOptions())}
    watched.until(lambda: watched.started.keys() >= names, "every row of the table starts")
    assert any("seed:=3" in part for part in watched.started["embodiment"])
    watched.until(lambda: "session" in watched.ended, "the session is created and started")
    assert watched.ended.pop("session") == 0
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sessions/s", timeout=5.0) as answer:
        assert json.load(answer)["status"] == "running"
    yield
    assert watched.ended == dict.fromkeys(names, 0), "an end that was asked for is no failure"


@launch_pytest.fixture
def left_arm(ros_domain: int, data_dir: Path) -> tuple[Any, Watched]:
    watched = Watched(ARENA, namespace="left", use_sim_time="true", processes="embodiment,guard")
    return watched.description, watched


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.launch(fixture=left_arm)
def test_the_namespace_and_sim_time_reach_every_node(left_arm: tuple[Any, Watched]) -> None:
    watched = left_arm[1]
    watched.until(lambda: watched.started.keys() == {"embodiment", "guard"}, "both start, and nothing else")
    for command in watched.started.values():
        assert "__ns:=/left" in command and "use_sim_time:=true" in command


@launch_pytest.fixture
def bridge_alone(ros_domain: int, data_dir: Path) -> tuple[Any, Watched, int]:
    port = free_port()
    watched = Watched(BRIDGE, port=str(port))
    return watched.description, watched, port


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.launch(fixture=bridge_alone)
def test_the_bridge_alone(bridge_alone: tuple[Any, Watched, int]) -> Iterator[None]:
    _, watched, port = bridge_alone
    watched.until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the bridge answers")
    assert watched.started.keys() == {"bridge"}
    yield
    assert watched.ended == {"bridge": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"robot": "isaac"},
        {"port": "x"},
        {"processes": "guard,nobody"},
        {"session": "demo"},
        {"params_file": "/no.yaml"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_wrong_arguments_start_nothing(data_dir: Path, wrong: dict[str, str]) -> None:
    watched = Watched(ARENA, **wrong)
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(watched.description)
    assert service.run() != 0
    assert watched.started == {}
