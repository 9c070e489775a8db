# SPDX-License-Identifier: Apache-2.0
"""A real inference process, and this process around it: cameras, joints and the guard's requests of its sessions."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rclpy
from floors import wait_until
from rclpy.executors import SingleThreadedExecutor

from lerobot_arena.core import topics
from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import SessionsStatus, SessionsWanted, SessionWanted
from lerobot_arena.ros import convert, qos

SO101 = load_robot("so101")
_SIZE = (480, 640, 3)
REPEAT_S = 2.0


def replay_file(folder: Path, *, delay_ms: float, cameras: Sequence[str] = ()) -> str:
    """A policy that answers after `delay_ms` with the state it saw; returns its policy_path."""
    path = folder / f"replay_{delay_ms:g}.json"
    content = {
        "joint_names": list(SO101.joint_names),
        "unit": "normalized",
        "fps": 30,
        "chunk_size": 50,
        "n_action_steps": 50,
        "cameras": {name: {"height": _SIZE[0], "width": _SIZE[1]} for name in cameras},
        "faults": {"delay_ms": delay_ms},
    }
    path.write_text(json.dumps(content))
    return f"replay:{path}"


@dataclass
class Actor:
    """Plays one virtual session's guard: one request at a time, the next when the answer came."""

    wanted: SessionWanted
    requests: Any
    round_trips_s: list[float] = field(default_factory=list)
    chunks: list[ActionChunk] = field(default_factory=list)
    sequence: int = 0
    asked_s: float = 0.0
    is_closed_loop: bool = False

    def ask(self) -> None:
        self.sequence += 1
        request = ChunkRequest(self.wanted.session_id, 1, self.sequence, reset=self.sequence == 1)
        self.asked_s = time.perf_counter()
        self.requests.publish(convert.to_msg(request))

    def on_chunk(self, message: Any) -> None:
        if message.request_sequence != self.sequence:
            return
        self.round_trips_s.append(time.perf_counter() - self.asked_s)
        self.chunks.append(convert.chunk_from_msg(message))
        if self.is_closed_loop:
            self.ask()


class Stage:
    """`sessions` virtual sessions on one policy; joints at 100 Hz, a camera of `size` H×W×3 at 30 Hz per name.

    `params` are the inference node's, as name:=value.
    """

    def __init__(
        self,
        policy_path: str,
        sessions: int,
        cameras: Sequence[str] = ("front",),
        *,
        size: tuple[int, int, int] = _SIZE,
        params: Sequence[str] = (),
    ) -> None:
        self._size = size
        self.node = rclpy.create_node("bench_stage")
        self.status = SessionsStatus()
        self._ending = threading.Event()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.actors = [self._actor(policy_path, f"bench{index}", cameras) for index in range(sessions)]
        self.node.create_subscription(
            convert.own.SessionsStatus, topics.SESSIONS, self._on_status, qos.LATCHED
        )
        self._wanted = self.node.create_publisher(convert.own.SessionsWanted, topics.WANTED, qos.LATCHED)
        options = ["--ros-args", *(part for param in params for part in ("-p", param))] if params else []
        self._process = subprocess.Popen([sys.executable, "-m", "lerobot_arena.inference.node", *options])
        self._feeders = [
            threading.Thread(target=self._feed_joints, daemon=True),
            threading.Thread(target=self._feed_cameras, daemon=True),
        ]

    def _actor(self, policy_path: str, name: str, cameras: Sequence[str]) -> Actor:
        arm = topics.virtual_arm(name)
        wanted = SessionWanted(
            name,
            arm,
            policy_path,
            is_virtual=True,
            workspace_id="bench",
            camera_names=tuple(cameras),
            camera_topics=tuple(f"/bench/{camera}" for camera in cameras),
            joint_input_topic="/bench/joints",
        )
        requests = self.node.create_publisher(
            convert.own.ChunkRequest, topics.on_arm(arm, topics.CHUNK_REQUEST), qos.EVENT
        )
        actor = Actor(wanted, requests)
        self.node.create_subscription(
            convert.own.ActionChunk, topics.on_arm(arm, topics.ACTION_CHUNK), actor.on_chunk, qos.STREAM
        )
        return actor

    def _on_status(self, message: Any) -> None:
        self.status = convert.from_msg(SessionsStatus, message)

    def _feed_joints(self) -> None:
        publisher = self.node.create_publisher(convert.own.RoomJoints, "/bench/joints", qos.SENSOR)
        sequence = 0
        while not self._ending.wait(0.01):
            sequence += 1
            values = np.zeros(len(SO101.joint_names))
            publisher.publish(
                convert.joints_to_room(SO101.joint_names, values, "normalized", sequence, time.time_ns())
            )

    def _feed_cameras(self) -> None:
        cameras = self.actors[0].wanted.camera_names
        publishers = {
            c: self.node.create_publisher(convert.Image, f"/bench/{c}", qos.SENSOR) for c in cameras
        }
        picture = np.random.default_rng(0).integers(0, 255, self._size, dtype=np.uint8)
        while not self._ending.wait(1 / 30):
            for camera, publisher in publishers.items():
                publisher.publish(convert.frame_to_image(CameraFrame(camera, picture, time.time_ns(), 0)))

    def __enter__(self) -> "Stage":
        for feeder in self._feeders:
            feeder.start()
        sessions = tuple(actor.wanted for actor in self.actors)
        self._wanted.publish(convert.to_msg(SessionsWanted(1, sessions)))
        names = [actor.wanted.session_id for actor in self.actors]

        def are_ready() -> bool:
            found = [self.status.of(name) for name in names]
            if failed := [s.error_message for s in found if s is not None and s.status == "error"]:
                raise RuntimeError(failed[0])
            return all(s is not None and s.is_loaded and s.joints_received > 10 for s in found)

        wait_until(self._executor, are_ready, timeout_s=120.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for feeder in self._feeders:
            feeder.join(2)
        self._process.terminate()
        self._process.wait(20)
        self._executor.shutdown()
        self.node.destroy_node()

    def run(self, seconds: float) -> None:
        """Every actor asks, and asks again as soon as it is answered."""
        for actor in self.actors:
            actor.round_trips_s.clear()
            actor.is_closed_loop = True
            actor.ask()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
            for actor in self.actors:
                # A request that found no observation gets no answer; the guard asks again, and so do we.
                if time.perf_counter() - actor.asked_s > REPEAT_S:
                    actor.ask()
        for actor in self.actors:
            actor.is_closed_loop = False

    def run_paced(self, rounds: int, pause_s: float) -> None:
        """One actor asks `rounds` times, with a pause after each answer."""
        actor = self.actors[0]
        for _ in range(rounds):
            answered = len(actor.round_trips_s)
            actor.ask()
            wait_until(self._executor, lambda before=answered: len(actor.round_trips_s) > before, 20.0)
            pause = time.monotonic() + pause_s
            while time.monotonic() < pause:
                self._executor.spin_once(timeout_sec=0.001)

    def memory_mb(self) -> float:
        """Unique memory of the inference process and its children."""
        return sum(member.memory_full_info().uss for member in self._family()) / 1e6

    def policy_cpu_s(self) -> float:
        """CPU time that the policies' own processes have used so far; between requests they use none."""
        times = [member.cpu_times() for member in self._family()[1:]]
        return sum(spent.user + spent.system for spent in times)

    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]
