# SPDX-License-Identifier: Apache-2.0
"""The inference process over real DDS: what was published is what the policy saw, and failures stay where they are."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from lerobot_arena.testing.policy_folders import JOINTS, SIZE, write_onnx, write_replay

pytestmark = [pytest.mark.ros, pytest.mark.timeout(240)]
STATE = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


class Client:
    """Bridge, clients and guard in one ROS node."""

    def __init__(self) -> None:
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        from lerobot_arena.core import topics
        from lerobot_arena.ros import convert, qos

        self.convert, self.qos, self.topics = convert, qos, topics
        self.node = Node("client")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.chunks: list[Any] = []
        self.status: Any = None
        self._generation = self._sequence = 0
        self._publishers: dict[str, Any] = {}
        self._wanted = self.node.create_publisher(convert.own.SessionsWanted, topics.WANTED, qos.LATCHED)
        self.node.create_subscription(
            convert.own.SessionsStatus, topics.SESSIONS, self._on_status, qos.LATCHED
        )

    def _on_status(self, message: Any) -> None:
        from lerobot_arena.core.session import SessionsStatus

        self.status = self.convert.from_msg(SessionsStatus, message)

    def want(self, *sessions: Any) -> None:
        from lerobot_arena.core.session import SessionsWanted

        self._generation += 1
        for session in sessions:
            topic = self.topics.on_arm(session.arm, self.topics.ACTION_CHUNK)
            self.node.create_subscription(
                self.convert.own.ActionChunk, topic, self.chunks.append, self.qos.STREAM
            )
        self._wanted.publish(self.convert.to_msg(SessionsWanted(self._generation, sessions)))

    def until(self, look: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError(f"{what}: not within {timeout_s} s; status {self.status}")

    def of(self, name: str) -> Any:
        return self.status.of(name) if self.status is not None else None

    def loaded(self, *names: str) -> None:
        self.until(
            lambda: all(self.of(n) is not None and self.of(n).is_loaded for n in names), f"{names} loaded"
        )

    def publish(self, kind: type, topic: str, message: Any, profile: Any) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, profile)
            self.until(lambda: self._publishers[topic].get_subscription_count(), f"somebody on {topic}")
            time.sleep(0.2)  # best effort: matched here is not yet matched there
        self._publishers[topic].publish(message)

    def joints(self, session: Any, names: tuple[str, ...], values: list[float]) -> None:
        message = self.convert.joints_to_room(names, np.array(values), "", 1, time.time_ns())
        self.publish(self.convert.own.RoomJoints, session.joint_input_topic, message, self.qos.SENSOR)

    def image(self, session: Any, pixels: np.ndarray) -> None:
        from lerobot_arena.core.observation import CameraFrame

        message = self.convert.frame_to_image(CameraFrame("front", pixels, time.time_ns(), 0))
        self.publish(self.convert.Image, session.camera_topics[0], message, self.qos.SENSOR)

    def jpeg(self, session: Any, pixels: np.ndarray) -> None:
        import cv2

        message = self.convert.CompressedImage(format="png")
        message.data = cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()
        topic = self.topics.compressed(session.camera_topics[0])
        self.publish(self.convert.CompressedImage, topic, message, self.qos.SENSOR)

    def request(self, session: Any, *, reset: bool = False) -> int:
        self._sequence += 1
        message = self.convert.own.ChunkRequest(
            session_id=session.session_id, epoch=3, sequence=self._sequence, reset=reset
        )
        topic = self.topics.on_arm(session.arm, self.topics.CHUNK_REQUEST)
        self.publish(self.convert.own.ChunkRequest, topic, message, self.qos.EVENT)
        return self._sequence

    def answer(self, sequence: int, timeout_s: float = 30.0) -> Any:
        return self.until(
            lambda: next((c for c in self.chunks if c.request_sequence == sequence), None),
            f"answer to request {sequence}",
            timeout_s,
        )


def room_session(name: str, policy_path: str, **changes: Any) -> Any:
    from lerobot_arena.core import topics
    from lerobot_arena.core.session import SessionWanted

    values: dict[str, Any] = {
        "session_id": name,
        "arm": topics.virtual_arm(name),
        "policy_path": policy_path,
        "is_virtual": True,
        "camera_names": ("front",),
        "camera_topics": (topics.room("w", topics.camera_room(name, "front")),),
        "joint_input_topic": topics.room("w", topics.joint_input_room(name)),
    }
    return SessionWanted(**{**values, **changes})


@pytest.fixture
def start_node(ros_domain: int) -> Iterator[Callable[..., psutil.Process]]:
    started = []

    def start(**params: Any) -> psutil.Process:
        arguments = [part for key, value in params.items() for part in ("-p", f"{key}:={value}")]
        process = subprocess.Popen(
            [sys.executable, "-m", "lerobot_arena.inference.node", "--ros-args", *arguments]
        )
        started.append(process)
        return psutil.Process(process.pid)

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
    codes = [process.wait(20) for process in started]
    assert all(code in (0, -signal.SIGKILL) for code in codes), codes


@pytest.fixture
def client(ros_domain: int) -> Iterator[Client]:
    import rclpy

    from lerobot_arena.ros.host import init_ros

    init_ros()
    made = Client()
    yield made
    made.executor.shutdown(timeout_sec=1.0)
    made.node.destroy_node()
    rclpy.try_shutdown()


def test_the_policy_sees_the_last_joints_and_frames_sent(
    start_node: Callable[..., psutil.Process], client: Client, tmp_path: Path
) -> None:
    start_node(record_dir=tmp_path / "seen", stale_s=20.0, room_skew_s=10.0)
    session = room_session("my-session", str(write_onnx(tmp_path / "onnx")))
    client.want(session)
    client.loaded("my-session")
    assert client.of("my-session").status == "ready"
    assert client.status.wanted_generation == 1

    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    client.joints(session, JOINTS, STATE)
    client.image(session, np.zeros_like(pixels))
    client.image(session, pixels)
    client.joints(session, ("wrist_roll", "gripper"), [-50.0, 99.0])
    client.joints(session, ("gripper",), [42.0])
    client.until(lambda: client.of("my-session").joints_received == 3, "three joint messages")
    client.until(lambda: client.of("my-session").images_received == (2,), "two frames")
    chunk = client.answer(client.request(session, reset=True))

    expected = np.array([1.0, 2.0, 3.0, 4.0, -50.0, 42.0])
    (file,) = (tmp_path / "seen").glob("*.npz")
    with np.load(file, allow_pickle=False) as seen:
        assert np.array_equal(seen["state"], expected)
        assert np.array_equal(seen["frame_front"], pixels)
    assert np.allclose(np.array(chunk.actions).reshape(5, 6), expected + pixels.mean(), atol=1e-3)
    assert (chunk.session_id, chunk.epoch, chunk.unit) == ("my-session", 3, "normalized")
    assert list(chunk.joint_names) == list(JOINTS)
    assert 0 < chunk.observation_age_s < 20
    assert {stage.name for stage in chunk.stages} >= {"sync", "queue", "copy", "network", "total"}
    status = client.until(
        lambda: client.of("my-session").inference_count == 1 and client.of("my-session"), "the count"
    )
    assert (status.misses, status.errors, status.images_lost) == (0, 0, (0,))
    assert status.total_inference_time_s > 0


def test_a_compressed_camera_serves_as_well(
    start_node: Callable[..., psutil.Process], client: Client, tmp_path: Path
) -> None:
    start_node(stale_s=20.0, room_skew_s=10.0)
    session = room_session("s", str(write_onnx(tmp_path / "onnx")))
    client.want(session)
    client.loaded("s")
    pixels = np.random.default_rng(1).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    client.joints(session, JOINTS, STATE)
    client.jpeg(session, pixels)
    client.until(lambda: client.of("s").images_received == (1,), "a frame")
    chunk = client.answer(client.request(session, reset=True))
    assert np.allclose(np.array(chunk.actions[:6]), np.array(STATE) + pixels.mean(), atol=1e-3)


def test_an_arms_radians_reach_the_policy_in_its_unit_and_order(
    start_node: Callable[..., psutil.Process], client: Client, tmp_path: Path
) -> None:
    from lerobot_arena.core.observation import JointSample
    from lerobot_arena.core.robot import load_robot

    start_node(stale_s=20.0)
    order = list(reversed(JOINTS))
    path = write_replay(tmp_path / "r.json", joint_names=order, unit="degrees")
    session = room_session("s", path, arm="arm", is_virtual=False, camera_names=(), camera_topics=())
    session = type(session)(**{**_fields(session), "joint_input_topic": "/arm/joint_states"})
    client.want(session)
    client.loaded("s")
    radians = np.array([0.1, -0.2, 0.3, -0.4, 0.5, 0.6])
    sample = JointSample((*JOINTS, "wheel"), np.array([*radians, 9.0]), "radians", time.time_ns(), 0)
    client.publish(
        client.convert.JointState,
        "/arm/joint_states",
        client.convert.joints_to_state(sample),
        client.qos.SENSOR,
    )
    client.until(lambda: client.of("s").joints_received == 1, "the joints")
    chunk = client.answer(client.request(session, reset=True))
    assert list(chunk.joint_names) == order
    wanted = load_robot("so101").from_radians(radians, "degrees")[::-1]
    assert np.allclose(np.array(chunk.actions[:6]), wanted)


@pytest.mark.lerobot
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_checkpoint_and_its_export_answer_alike(
    start_node: Callable[..., psutil.Process], client: Client, tmp_path: Path
) -> None:
    from lerobot_arena.inference.export import export_checkpoint
    from lerobot_arena.testing.act_checkpoint import write_act_checkpoint

    checkpoint = write_act_checkpoint(tmp_path / "act")
    told: dict[str, Any] = {"unit": "normalized", "joint_names": JOINTS}
    export_checkpoint(
        checkpoint, tmp_path / "onnx", metadata={**told, "joint_names": list(JOINTS), "fps": 30.0}
    )
    start_node(stale_s=60.0, room_skew_s=10.0, load_timeout_s=400.0, infer_timeout_s=60.0)
    pixels = np.random.default_rng(2).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    sessions = {
        "torch": room_session("torch", str(checkpoint), rate_hz=30.0, **told),
        "onnx": room_session("onnx", str(tmp_path / "onnx")),
    }
    client.want(*sessions.values())
    client.until(lambda: client.of("torch") is not None and client.of("torch").is_loaded, "torch", 400.0)
    client.loaded("onnx")
    answers = {}
    for name, session in sessions.items():
        client.joints(session, JOINTS, STATE)
        client.image(session, pixels)
        client.until(lambda n=name: client.of(n).images_received == (1,), "a frame")
        answers[name] = np.array(client.answer(client.request(session, reset=True), 120.0).actions)
    assert answers["torch"].shape == (20 * 6,)
    assert np.abs(answers["torch"] - answers["onnx"]).max() < 1e-3, "−100..100"
    assert np.ptp(answers["torch"]) > 1.0


def _fields(session: Any) -> dict[str, Any]:
    return {name: getattr(session, name) for name in session.__dataclass_fields__}


def test_a_dead_workers_session_shows_it_and_the_others_go_on(
    start_node: Callable[..., psutil.Process], client: Client, tmp_path: Path
) -> None:
    node = start_node(stale_s=60.0)
    path = write_replay(tmp_path / "bad.json", faults={"hang_at": 1})
    bad = room_session("bad", path, camera_names=(), camera_topics=())
    good_path = write_replay(tmp_path / "good.json")
    good = room_session("good", good_path, camera_names=(), camera_topics=())
    client.want(bad, good)
    client.loaded("bad", "good")
    for session in (bad, good):
        client.joints(session, JOINTS, STATE)
        client.until(lambda s=session: client.of(s.session_id).joints_received == 1, "the joints")
    client.request(bad, reset=True)
    client.answer(client.request(good, reset=True))
    slowest = 0.0
    for _ in range(10):
        started = time.monotonic()
        client.answer(client.request(good))
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 10.0, "the other policy hangs in its own process"

    (hung,) = [child for child in node.children() if _serves(child, "bad.json")]
    os.kill(hung.pid, signal.SIGKILL)
    client.until(lambda: client.of("bad").status == "error", "the error")
    assert "SIGKILL" in client.of("bad").error_message
    client.loaded("bad")
    assert client.of("good").status == "ready"
    assert client.of("good").errors == 0


def _serves(child: psutil.Process, name: str) -> bool:
    return name in " ".join(child.cmdline())


def test_a_killed_node_takes_its_workers_along_and_its_successor_finds_what_is_wanted(
    start_node: Callable[..., psutil.Process], client: Client, tmp_path: Path
) -> None:
    node = start_node()
    path = write_replay(tmp_path / "r.json")
    client.want(room_session("s", path, camera_names=(), camera_topics=()))
    client.loaded("s")
    boot_id = client.status.boot_id
    children = node.children()
    assert len(children) == 1
    node.kill()
    client.until(lambda: not any(_runs(child) for child in children), "the workers to end")
    start_node()
    client.until(lambda: client.status.boot_id != boot_id, "the new process")
    client.loaded("s")
    assert client.of("s").inference_count == 0


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
