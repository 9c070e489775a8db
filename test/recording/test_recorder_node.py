# SPDX-License-Identifier: Apache-2.0
"""The recorder process over real DDS: what is published is in the file, byte for byte, and control never waits."""

import json
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lerobot_arena.recording.file_info import read_info
from lerobot_arena.recording.names import session_files, session_folders
from lerobot_arena.testing.gentle_end import end_gently
from lerobot_arena.testing.recording_rig import messages_of

pytestmark = [pytest.mark.ros, pytest.mark.slow]


class Stage:
    """A recorder process, and the arm's publishers in this one."""

    def __init__(self, root: Path, *params: str) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from lerobot_arena.core import topics
        from lerobot_arena.ros import convert, qos
        from lerobot_arena.ros.host import init_ros

        self.root, self._rclpy, self._convert = root, rclpy, convert
        self.begin(*params)
        init_ros()
        self.node = rclpy.create_node("stage")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        make = self.node.create_publisher
        self.cycles = make(convert.own.Cycle, "/arm/dam/cycle", qos.STREAM)
        self.joints = make(convert.JointState, "/arm/joint_states", qos.SENSOR)
        self.images = make(convert.Image, topics.camera("arm", "front"), qos.SENSOR)
        self.guard = make(convert.own.GuardState, "/arm/guard/state", qos.LATCHED)
        self.foreign = make(convert.String, "/other/dam/cycle", qos.STREAM)
        self.heard: list[Any] = []
        self.node.create_subscription(
            convert.String,
            "/arm/recorder/status",
            lambda m: self.heard.append(json.loads(m.data)),
            qos.LATCHED,
        )
        self._clients = {
            verb: self.node.create_client(convert.Trigger, f"/arm/{name}")
            for verb, name in topics.RECORDER_VERBS.items()
        }

    def begin(self, *params: str) -> None:
        """Start the process, or another one after it has ended."""
        given = [f"folder:={self.root}", "min_free_mb:=1", *params]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lerobot_arena.recording.node", "--ros-args", "-r", "__ns:=/arm"]
            + [part for value in given for part in ("-p", value)]
        )

    def tell(self, verb: str) -> tuple[bool, str]:
        assert self._clients[verb].wait_for_service(20.0)
        answer = self._clients[verb].call_async(self._convert.Trigger.Request())
        self._executor.spin_until_future_complete(answer, 15.0)
        return answer.result().success, answer.result().message

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)

    def until_heard(self) -> None:
        """Until the recorder hears all three topics."""
        end = time.monotonic() + 20.0
        while not all(p.get_subscription_count() for p in (self.cycles, self.joints, self.images)):
            assert time.monotonic() < end, "the recorder does not listen"
            self.spin(0.1)
        self.spin(0.3)

    def publish(self, first: int, count: int, *, decision: int = 0) -> None:
        own = self._convert.own
        frame = self._convert.Image(height=48, width=64, encoding="rgb8", step=192)
        frame.data = array("B", bytes(48 * 192))
        for number in range(first, first + count):
            frame.header.stamp.sec = number
            self.cycles.publish(
                own.Cycle(cycle_id=number, decision=decision, joint_names=["a"], measured=[0.5])
            )
            self.joints.publish(self._convert.JointState(name=["a"], position=[float(number)]))
            self.images.publish(frame)
            self.spin(0.02)

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        self.node.destroy_node()
        self._rclpy.try_shutdown()
        return code


@pytest.fixture
def stage(ros_domain: int, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(tmp_path / "recordings", *getattr(request, "param", ()))
    yield made
    if made.process.poll() is None:
        end_gently(made.process)
        made.node.destroy_node()
        made._rclpy.try_shutdown()


def test_what_is_published_is_in_the_recording(stage: Stage) -> None:
    own = stage._convert.own
    stage.guard.publish(
        own.GuardState(arm="arm", task="pick", control_rate_hz=50.0, active_boundaries=["table"])
    )
    stage.foreign.publish(stage._convert.String(data="not ours"))
    assert stage.tell("stop") == (
        False,
        "Nothing is being recorded: start a recording first (`arena record start`).",
    )
    good, session_id = stage.tell("start")
    assert good, session_id
    stage.until_heard()
    stage.publish(0, 60)
    good, second = stage.tell("split")
    assert good and second.endswith("_1.mcap")
    stage.publish(60, 20, decision=3)
    good, text = stage.tell("status")
    assert good and json.loads(text)["session_id"] == session_id
    stage.spin(0.5)
    assert stage.tell("stop") == (True, session_id)
    assert stage.end() == 0
    (folder,) = session_folders(stage.root)
    files = session_files(folder)
    found = [entry for path in files for entry in messages_of(path)]
    named: dict[str, int] = {}
    for topic, _, _ in found:
        named[topic] = named.get(topic, 0) + 1
    assert named["/arm/dam/cycle"] == 80
    # Best effort, as sensors are; the violation's window reaches back to the first.
    assert 60 <= named["/arm/joint_states"] <= 80 and 60 <= named["/arm/dam/images/front"] <= 80
    assert "/other/dam/cycle" not in named
    last = read_info(files[-1])
    assert last.tally is not None and last.tally.violations == 20
    session = last.notes["session"]
    assert (session["task"], session["control_frequency_hz"], session["boundaries"]) == (
        "pick",
        "50",
        '["table"]',
    )
    assert session["robot_hash"] and session["software_version"]
    information = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    kinds = {
        e["topic_metadata"]["name"]: e["topic_metadata"] for e in information["topics_with_message_count"]
    }
    qos = {name: kind["offered_qos_profiles"][0] for name, kind in kinds.items()}
    assert qos["/arm/guard/state"]["durability"] == "transient_local"
    assert qos["/arm/joint_states"]["reliability"] == "best_effort"


def test_rosbags_decodes_what_came_over_dds(stage: Stage) -> None:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    assert stage.tell("start")[0]
    stage.until_heard()
    stage.publish(0, 20)
    assert stage.tell("stop")[0]
    assert stage.end() == 0
    (folder,) = session_folders(stage.root)
    with AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        decoded = {
            (connection.topic, reader.deserialize(raw, connection.msgtype).__msgtype__)
            for connection, _, raw in reader.messages()
        }
    assert ("/arm/dam/cycle", "lerobot_arena/msg/Cycle") in decoded


@pytest.mark.parametrize("stage", [("record_on_start:=true", "images:=all")], indirect=True)
def test_a_recorder_that_records_from_the_start_and_is_killed_goes_on_in_a_new_recording(
    stage: Stage,
) -> None:
    stage.until_heard()
    stage.publish(0, 100)
    stage.process.kill()
    stage.process.wait()
    (folder,) = session_folders(stage.root)
    stage.begin("record_on_start:=true")
    end = time.monotonic() + 20
    while not any("repaired" in event["text"] for status in stage.heard for event in status["events"]):
        assert time.monotonic() < end, stage.heard
        stage.spin(0.1)
    found = [topic for path in session_files(folder) for topic, _, _ in messages_of(path)]
    assert found.count("/arm/dam/cycle") >= 30 and len(session_folders(stage.root)) == 2
    assert stage.end() == 0
