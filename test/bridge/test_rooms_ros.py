# SPDX-License-Identifier: Apache-2.0
"""Rooms of the real bridge process as topics on real DDS, both ways."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from lerobot_arena.core import topics
from lerobot_arena.core.observation import CameraFrame, JointSample
from lerobot_arena.core.room import RoomJoints
from lerobot_arena.rooms.jpeg import pack_v3, read_frame
from lerobot_arena.testing.bridge_process import BridgeProcess
from lerobot_arena.testing.probe import Probe
from lerobot_arena.testing.rooms_rig import RoomsRig

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def port(module_ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a bridge process."""
    folder = tmp_path_factory.mktemp("bridge")
    command = [sys.executable, "-m", "lerobot_arena.bridge.node", "--ros-args", "-r", "__ns:=/arena"]
    command += ["-p", "port:=0", "-p", f"data_dir:={folder}"]
    bridge = BridgeProcess(command, folder / "log.txt")
    yield bridge.port
    bridge.end()


@pytest.fixture
async def rooms(port: int) -> AsyncIterator[RoomsRig]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        yield RoomsRig(None, None, http, f"127.0.0.1:{port}")  # type: ignore[arg-type]


@pytest.fixture
def robot(module_ros_domain: int) -> Iterator[Probe]:
    """A node of the robot side."""
    made = Probe("robot_side")
    yield made
    made.close()


async def until(look: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    async with asyncio.timeout(timeout_s):
        while not (found := look()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # how often it looks; DDS has threads of its own
        return found


async def test_what_a_client_says_is_on_the_topic(rooms: RoomsRig, robot: Probe) -> None:
    from lerobot_arena.ros import convert, qos

    heard: list[Any] = []
    topic = topics.room("w", "to-ros")
    robot.node.create_subscription(convert.own.RoomJoints, topic, heard.append, qos.SENSOR)
    robot.start()
    await rooms.make("w", "to-ros", unit="degrees")
    async with (
        rooms.join("w", "to-ros", "p", "producer") as producer,
        rooms.join("w", "to-ros", "c") as consumer,
    ):

        async def say() -> None:
            while not heard:
                await producer.say("joint_update", data={"a": 1.5, "b": -2.0}, age_ms=30.0)
                await asyncio.sleep(0.05)  # a producer at 20 Hz

        async with asyncio.timeout(30):
            await say()
        joints = convert.from_msg(RoomJoints, heard[0])
        assert (joints.names, joints.values, joints.unit) == (("a", "b"), (1.5, -2.0), "degrees")
        assert (joints.source, joints.age_s) == ("p", 0.03)
        assert abs(joints.stamp_ns - time.time_ns()) < 10**10
        await rooms.http.post(
            f"{rooms.room('w', 'to-ros')}/command", json={"joints": [{"name": "a", "value": 9}]}
        )
        api = await until(lambda: [message for message in heard if message.source == "api"])
        assert list(api[0].values) == [9.0]
        # It never hears itself: each value came to the consumer once.
        sequences = []
        with contextlib.suppress(TimeoutError):
            while True:
                message = await consumer.next(0.5)
                if message["type"] == "joint_update":
                    sequences.append(message["seq"])
        assert sequences == sorted(set(sequences))


async def test_what_is_on_the_topic_goes_to_clients(rooms: RoomsRig, robot: Probe) -> None:
    from lerobot_arena.ros import convert, qos

    publisher = robot.node.create_publisher(convert.own.RoomJoints, topics.room("w", "from-ros"), qos.STREAM)
    said = convert.to_msg(RoomJoints(("gripper",), (42.0,), "normalized", 1, time.time_ns(), "guard", 0.02))
    robot.node.create_timer(0.05, lambda: publisher.publish(said))
    robot.start()
    await rooms.make("w", "from-ros")
    async with rooms.join("w", "from-ros", "c") as consumer:
        update = await consumer.until("joint_update")
        assert update["data"] == [{"name": "gripper", "value": 42.0}]
        assert (update["source"], update["unit"]) == ("guard", "normalized") and update["age_ms"] >= 20
        info = (await rooms.http.get(rooms.room("w", "from-ros"))).json()["room"]
        assert (info["participants"]["producer"], info["ros_publishers"]) == ("ros", 1)
        async with rooms.socket("w", "from-ros") as late:
            await late.socket.send(json.dumps({"participant_id": "p", "role": "producer"}))
            assert (await late.closed())[1][0]["code"] == "ros_produces"


async def test_a_client_s_pictures_are_a_compressed_topic_with_their_capture(
    rooms: RoomsRig, robot: Probe
) -> None:
    from lerobot_arena.ros import convert, qos

    heard: list[Any] = []
    topic = topics.compressed(topics.room("w", "cam-in"))
    robot.node.create_subscription(convert.CompressedImage, topic, heard.append, qos.SENSOR)
    robot.start()
    picture = bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1])
    await rooms.make("w", "cam-in", kind="video")
    async with rooms.join("w", "cam-in", "p", "producer", kind="video", media="jpeg") as producer:
        async with asyncio.timeout(30):
            while not heard:
                now_ns = time.monotonic_ns()
                await producer.socket.send(pack_v3("c", picture, seq=1, stamp_mono_ns=now_ns, age_s=0.2))
                await asyncio.sleep(0.05)  # a camera at 20 Hz
        frame = convert.frame_from_compressed(heard[0], "c", 0)
        assert frame.image.shape == (48, 64, 3) and bytes(heard[0].data) == picture
        age_s = (time.time_ns() - frame.stamp_ns) / 1e9
        assert 0.19 < age_s < 5.0


async def test_a_watcher_sees_a_ros_camera_as_the_room_s_config_says(rooms: RoomsRig, robot: Probe) -> None:
    from lerobot_arena.ros import convert, qos

    publisher = robot.node.create_publisher(convert.Image, topics.room("w", "cam-out"), qos.SENSOR)
    image = convert.frame_to_image(CameraFrame("c", np.full((480, 640, 3), 90, np.uint8), time.time_ns(), 0))
    robot.node.create_timer(0.02, lambda: publisher.publish(image))
    robot.start()
    config = {"resolution": {"width": 320, "height": 240}, "framerate": 10, "quality": 50}
    await rooms.make("w", "cam-out", kind="video", config=config, recovery_config={"frame_timeout_ms": 1000})
    async with rooms.join("w", "cam-out", "v", kind="video", media="jpeg", frames="v3") as watcher:
        frames = []
        async with asyncio.timeout(30):
            while len(frames) < 15:
                got = await watcher.next(30)
                if isinstance(got, bytes) and (frame := read_frame(got)).seq:
                    frames.append((time.monotonic(), frame))
        assert {(frame.width, frame.height) for _, frame in frames} == {(320, 240)}
        rate_hz = (len(frames) - 6) / (frames[-1][0] - frames[5][0])
        assert rate_hz < 12.0


async def test_an_arm_s_joint_states_are_heard_in_radians(module_ros_domain: int, robot: Probe) -> None:
    from lerobot_arena.bridge.edge import RoomTopicsOverRos
    from lerobot_arena.ros import convert, qos

    listener = Probe("bridge")
    try:
        hands = ThreadPoolExecutor(1)
        link = RoomTopicsOverRos(listener.node, hands)
        heard: list[RoomJoints] = []
        close = link.open_joints("/arm/joint_states", heard.append, is_arm=True)
        publisher = robot.node.create_publisher(convert.JointState, "/arm/joint_states", qos.SENSOR)
        sample = JointSample(("gripper",), np.array([0.5]), "radians", 5, 0)
        robot.node.create_timer(0.05, lambda: publisher.publish(convert.joints_to_state(sample)))
        robot.start()
        listener.start()
        await until(lambda: heard)
        assert (heard[0].names, heard[0].values, heard[0].unit) == (("gripper",), (0.5,), "radians")
        assert (await link.foreign_publishers(["/arm/joint_states", "/nobody"])) == {
            "/arm/joint_states": 1,
            "/nobody": 0,
        }
        link.open_output("/rooms/x", is_video=False)
        await until(lambda: "/rooms/x" in {name for name, _ in robot.node.get_topic_names_and_types()})
        assert await link.foreign_publishers(["/rooms/x"]) == {"/rooms/x": 0}, "its own do not count"
        close()
        await asyncio.sleep(0.3)  # what was under way arrives
        heard.clear()
        await asyncio.sleep(0.3)  # time for what must not come
        assert not heard
        hands.shutdown()
        link.close_output("/rooms/x")
    finally:
        listener.close()
