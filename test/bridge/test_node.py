# SPDX-License-Identifier: Apache-2.0
"""The real bridge process on real DDS, beside a scripted robot side that publishes the real topics."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from lerobot_arena.core import topics
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.session import (
    EmbodimentStatus,
    GuardState,
    SessionsStatus,
    SessionsWanted,
    TaskStatus,
)
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.testing.bridge_fake_link import FakeArms, moving_picture
from lerobot_arena.testing.gentle_end import end_gently

# Three starts of a process that imports for seconds, on a machine that may be busy with other tests.
pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(400)]


class RobotSide:
    """FakeArms as a ROS node: its reports become topics, its verbs services."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from lerobot_arena.ros import convert, qos

        self._convert, self._qos = convert, qos
        self.clock = SystemClock()
        self._publishers: dict[str, Any] = {}
        self._services: dict[str, list[Any]] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("robot_side", context=self._context)
        self.fake = FakeArms()
        self.fake.attach(self, self)  # type: ignore[arg-type]  # it reports here, and this publishes
        self._node.create_subscription(
            convert.own.SessionsWanted, topics.WANTED, self._on_wanted, qos.LATCHED
        )
        self._node.create_subscription(
            convert.own.GuardConfig,
            topics.GUARD_CONFIG,
            lambda message: self.fake.take_config(convert.from_msg(GuardConfig, message)),
            qos.LATCHED,
        )
        self._node.create_timer(0.02, self.fake.beat)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._ending.set()
        self._thread.join(60.0)
        assert not self._thread.is_alive(), "what it waits on must not go before it: the process would end"
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _on_wanted(self, message: Any) -> None:
        self.fake.take(self._convert.from_msg(SessionsWanted, message))

    def _publish(self, topic: str, message: Any, profile: Any) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(type(message), topic, profile)
        self._publishers[topic].publish(message)

    # what a Board hears

    def on_guard(self, value: GuardState) -> None:
        self._serve(value.arm, tuple(topics.GUARD_VERBS.items()))
        name = topics.on_arm(value.arm, topics.GUARD_STATE)
        self._publish(name, self._convert.to_msg(value), self._qos.LATCHED)

    def on_embodiment(self, value: EmbodimentStatus) -> None:
        self._serve(f"{value.arm}", (("reset_scene", topics.RESET_SCENE),))
        name = topics.on_arm(value.arm, topics.EMBODIMENT_STATUS)
        self._publish(name, self._convert.to_msg(value), self._qos.LATCHED)

    def on_task(self, arm: str, value: TaskStatus) -> None:
        self._publish(topics.on_arm(arm, topics.TASK_STATUS), self._convert.to_msg(value), self._qos.LATCHED)

    def on_recorder(self, arm: str, status: str) -> None:
        name = topics.on_arm(arm, topics.RECORDER_STATUS)
        self._publish(name, self._convert.String(data=status), self._qos.LATCHED)

    def on_sessions(self, value: SessionsStatus) -> None:
        self._publish(topics.SESSIONS, self._convert.to_msg(value), self._qos.LATCHED)

    def forget(self, arm: str) -> None:
        for name in [name for name in self._publishers if name.startswith(f"/{arm}/")]:
            self._node.destroy_publisher(self._publishers.pop(name))
        for service in self._services.pop(arm, []):
            self._node.destroy_service(service)

    def push(self, arm: str, record: Any) -> None:
        self._publish(topics.on_arm(arm, topics.CYCLE), self._convert.cycle_to_msg(record), self._qos.STREAM)
        if record.cycle_id % 3 == 0 and arm == "arm":
            frame = CameraFrame("front", moving_picture(record.cycle_id, 0), self.clock.wall_ns(), 0)
            self._publish(topics.camera(arm, "front"), self._convert.frame_to_image(frame), self._qos.SENSOR)

    def _serve(self, arm: str, verbs: tuple[tuple[str, str], ...]) -> None:
        known = self._services.setdefault(arm, [])
        names = {service.srv_name for service in known}
        for verb, name in verbs:
            if topics.on_arm(arm, name) not in names:
                known.append(
                    self._node.create_service(
                        self._convert.Trigger, topics.on_arm(arm, name), self._answer(arm, verb)
                    )
                )

    def _answer(self, arm: str, verb: str) -> Callable[[Any, Any], Any]:
        def answer(_request: Any, response: Any) -> Any:
            self._node.get_logger().info(f"asked to {verb}")
            done = self.fake.do(arm, verb)
            response.success, response.message = done.success, done.message
            return response

        return answer


class BridgeProcess:
    """`python -m lerobot_arena.bridge.node` on a free port."""

    def __init__(self, data_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.data_dir = data_dir
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "lerobot_arena.bridge.node", "--ros-args", "-r", "__ns:=/arena"]
        command += ["-p", f"port:={self.port}", "-p", f"data_dir:={self.data_dir}"]
        self.log = self.data_dir / "log.txt"
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))

    def again(self) -> None:
        self.process = self._start()
        self.until(self.is_up)

    def is_up(self) -> bool:
        arms = self.http.get("/api/arms").json()["arms"]
        return any(arm["arm"] == "arm" and arm["is_alive"] and arm["embodiment"] for arm in arms)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def until(self, look: Callable[[], Any], timeout_s: float = 120.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if found := look():
                    return found
            time.sleep(0.05)
        pytest.fail(f"waited {timeout_s} s; the bridge says:\n{self.log.read_text()[-4000:]}")

    def status(self, session_id: str = "s") -> dict[str, Any]:
        status: dict[str, Any] = self.http.get(f"/sessions/{session_id}").json()
        return status

    def ask(self, method: str, path: str, expected: int = 200, **options: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, **options)
        assert answer.status_code == expected, answer.text + self.log.read_text()[-3000:]
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
def robot_side(ros_domain: int) -> Iterator[RobotSide]:
    made = RobotSide(ros_domain)
    yield made
    made.close()


@pytest.fixture
def bridge(robot_side: RobotSide, data_dir: Path) -> Iterator[BridgeProcess]:
    made = BridgeProcess(data_dir)
    try:
        made.until(made.is_up)
        yield made
    finally:
        end_gently(made.process)
        made.http.close()


async def _telemetry(port: int) -> tuple[dict[str, Any], bytes]:
    """A live cycle and a frame."""
    event: dict[str, Any] = {}
    frame = b""
    url = f"ws://127.0.0.1:{port}/ws/telemetry?arm=arm&cameras=front"
    async with asyncio.timeout(30), connect(url, compression=None, proxy=None) as client:
        while not (event and frame):
            message = await client.recv()
            if isinstance(message, bytes):
                frame = message
            elif not (read := json.loads(message)).get("replay"):
                event = read
    return event, frame


def test_the_first_bytes_of_a_cycle_tell_decision_and_risk() -> None:
    from rclpy.serialization import serialize_message

    from lerobot_arena.bridge.node import BridgeNode
    from lerobot_arena.ros import convert

    for decision in Decision:
        for risk in RiskLevel:
            record = CycleRecord(
                2**40,
                decision,
                Outcome.HELD,
                5,
                "running",
                "radians",
                ("a",),
                late=True,
                risk=risk,
                reason="x",
            )
            raw = serialize_message(convert.cycle_to_msg(record))
            assert BridgeNode.glance_cycle(None, raw) == (decision, risk)  # type: ignore[arg-type]
    assert BridgeNode.glance_cycle(None, b"") == (0, 0)  # type: ignore[arg-type]


def test_a_session_from_post_to_delete_over_dds(bridge: BridgeProcess, robot_side: RobotSide) -> None:
    body = {"session_id": "s", "policy_path": "hold", "camera_names": ["front"], "robot": "arm"}
    bridge.ask("POST", "/sessions", json=body)
    bridge.ask("POST", "/sessions/s/start")
    assert bridge.status()["status"] == "running"
    first = bridge.status()["stats"]["commands_sent"]
    bridge.until(lambda: bridge.status()["stats"]["commands_sent"] > first + 10)

    event, frame = asyncio.run(_telemetry(bridge.port))
    assert event["session_id"] == "s" and len(event["joints"]["executed"]) == 6
    assert frame[:7] == b"\x01\x05front" and frame[7:9] == b"\xff\xd8"

    assert bridge.ask("POST", "/api/control/pause")["state"] == "paused"
    assert bridge.ask("POST", "/api/control/resume")["state"] == "running"
    told = robot_side.fake.config
    node = {"callback": "task_timeout", "params": {"timeout_s": 30.0}}
    made = bridge.ask("POST", "/api/boundaries", 201, json={"name": "short", "nodes": [node]})
    assert made["in_force_on"] == ["arm"] and made["config_version"] > told.version
    assert [item.name for item in robot_side.fake.config.boundaries][-1] == "short"
    robot_side.fake.config_refusals["arm"] = "It does not fit."
    refused = bridge.ask("PUT", "/api/boundaries/short", 409, json={"nodes": [{**node, "warn_frames": 2}]})
    assert "It does not fit." in refused["detail"]
    robot_side.fake.config_refusals.clear()
    assert bridge.ask("GET", "/api/boundaries/short")["version"] == 1
    assert 'arena_state{arm="arm",state="running"} 1.0' in bridge.http.get("/metrics").text
    assert bridge.ask("GET", "/api/telemetry/history?n=5")["total"] == 5

    answer = bridge.ask("POST", "/api/control/estop")
    assert answer["emergency_stop"] is True and answer["arms"]["arm"]["acknowledged"] is True
    status = bridge.status()
    assert status["status"] == "stopped" and "e-stop" in status["error_message"]
    bridge.ask("POST", "/sessions/s/start", 409)
    logged = bridge.until(lambda: bridge.ask("GET", "/api/risk-log?min_risk_level=EMERGENCY")["events"])
    assert logged[0]["arm"] == "arm" and logged[0]["fallback_triggered"] == "emergency_stop"
    robot_side.fake.recorders.say("arm", 2, "The disk is full.", at_unix=time.time())
    recorder = "/api/risk-log?failure_type=recorder"
    heard = bridge.until(lambda: bridge.ask("GET", recorder)["events"])
    assert [(event["arm"], event["reason"]) for event in heard] == [("arm", "The disk is full.")]
    bridge.ask("POST", "/api/control/reset")
    bridge.ask("POST", "/api/arms/arm/scene/reset")
    logged = [entry["message"] for entry in bridge.ask("GET", "/debug/logs")["logs"]]
    assert "asked to estop" in logged

    bridge.ask("POST", "/sessions/s/start")
    calls = list(robot_side.fake.calls)
    bridge.end(signal.SIGKILL)
    assert robot_side.fake.guards["arm"].state == "running"
    bridge.again()
    bridge.until(lambda: bridge.status()["status"] == "running")
    assert robot_side.fake.calls == calls, "a bridge that comes back touches nothing"
    bridge.ask("POST", "/sessions/s/stop")
    assert bridge.end(signal.SIGTERM) == 0
    bridge.again()
    bridge.until(lambda: bridge.status()["inference_stats"])
    assert bridge.status()["status"] == "stopped"
    assert bridge.ask("GET", recorder)["events"] == heard, "a latched status that is heard again is not news"
    bridge.ask("DELETE", "/sessions/s")
    assert bridge.end(signal.SIGINT) == 0


def test_virtual_arms_come_and_go_with_their_sessions(bridge: BridgeProcess, robot_side: RobotSide) -> None:
    body = {"session_id": "v", "policy_path": "hold", "camera_names": [], "joint_names": ["a", "b"]}
    for _ in range(3):
        created = bridge.ask("POST", "/sessions", json=body)
        assert created["topics"]["arm"] == "virtual/v"
        bridge.ask("POST", "/sessions/v/start")
        assert bridge.status("v")["status"] == "running"
        bridge.ask("DELETE", "/sessions/v")
        assert robot_side.fake.calls[-2:] == [("virtual/v", "start"), ("virtual/v", "stop")]
    bridge.until(lambda: [arm["arm"] for arm in bridge.http.get("/api/arms").json()["arms"]] == ["arm"])
