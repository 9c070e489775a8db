# SPDX-License-Identifier: Apache-2.0
"""The real inspection process on real DDS, between a scripted robot side and real Foxglove clients."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from lerobot_arena.core import topics
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig
from lerobot_arena.core.session import GuardState
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.testing.foxglove_client import FoxgloveClient

pytestmark = [pytest.mark.ros, pytest.mark.slow]

CYCLE = topics.on_arm("arm", topics.CYCLE)
JOINTS = topics.on_arm("arm", topics.JOINT_STATES)
CAMERA = topics.camera("arm", "front")
STATE = topics.on_arm("arm", topics.GUARD_STATE)
DESCRIPTION = topics.on_arm("arm", topics.ROBOT_DESCRIPTION)
MARKERS = topics.on_arm("arm", topics.GUARD_MARKERS)
NAMES = ("shoulder_pan", "gripper")
CORNERS = '{"lower_m": [0, 0, 0], "upper_m": [1, 2, 4]}'
BOX = f'{{"name": "cell", "nodes": [{{"callback": "workspace_box", "params": {CORNERS}}}]}}'


class RobotSide:
    """Publishes what an arm publishes, at 50 Hz, and answers its guard's services."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from lerobot_arena.ros import convert, qos
        from lerobot_arena.ros.host import init_ros

        init_ros()
        self.calls: list[str] = []
        self.delay_s = 0.0
        self.node = node = rclpy.create_node("robot_side", namespace="/arm")
        self.image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
        self._convert = convert
        make = node.create_publisher
        self.publishers = {
            CYCLE: make(convert.own.Cycle, CYCLE, qos.STREAM),
            JOINTS: make(convert.JointState, JOINTS, qos.SENSOR),
            CAMERA: make(convert.Image, CAMERA, qos.SENSOR),
            STATE: make(convert.own.GuardState, STATE, qos.LATCHED),
            DESCRIPTION: make(convert.String, DESCRIPTION, qos.LATCHED),
            topics.GUARD_CONFIG: make(convert.own.GuardConfig, topics.GUARD_CONFIG, qos.LATCHED),
        }
        self.publishers[DESCRIPTION].publish(convert.String(data="<robot/>"))
        self.say(topics.GUARD_CONFIG, GuardConfig(5, (BoundaryWanted("cell", 1, BOX),)))
        self.say(STATE, GuardState("arm", state="running", config_version=5, active_boundaries=("cell",)))
        for verb, name in topics.GUARD_VERBS.items():
            node.create_service(convert.Trigger, topics.on_arm("arm", name), self._answering(verb))
        node.create_subscription(
            convert.Empty, topics.on_arm("arm", topics.ESTOP), lambda _: self.calls.append("empty"), qos.EVENT
        )
        self.count = 0
        self._ending = threading.Event()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._spin, self._run)]
        for thread in self._threads:
            thread.start()

    def say(self, topic: str, value: Any) -> None:
        self.publishers[topic].publish(self._convert.to_msg(value))

    def watchers(self, topic: str) -> int:
        return int(self.publishers[topic].get_subscription_count())

    def _answering(self, verb: str) -> Callable[[Any, Any], Any]:
        def answer(_request: Any, response: Any) -> Any:
            time.sleep(self.delay_s)  # a guard that is slow to answer is the case
            self.calls.append(verb)
            response.success, response.message = verb != "start", f"{verb} was heard"
            return response

        return answer

    def _tick(self) -> None:
        from lerobot_arena.core.cycle import CycleRecord
        from lerobot_arena.core.observation import CameraFrame, JointSample

        self.count += 1
        now = time.time_ns()
        values = np.array([self.count, 0.5])
        cycle = CycleRecord(
            self.count,
            Decision.CLAMP,
            Outcome.ADJUSTED,
            now,
            "running",
            "radians",
            NAMES,
            measured=tuple(values),
        )
        self.say(CYCLE, cycle)
        joints = JointSample(NAMES, values, "radians", now, 0)
        self.publishers[JOINTS].publish(self._convert.joints_to_state(joints))
        if self.count % 2:
            self.publishers[CAMERA].publish(
                self._convert.frame_to_image(CameraFrame("front", self.image, now, 0))
            )

    def _run(self) -> None:
        while not self._ending.wait(0.02):
            self._tick()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        import rclpy

        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


class Inspection:
    """The process, on a free port of its choice."""

    def __init__(self, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-P", "-u", "-m", "lerobot_arena.inspection.node", "--ros-args"]
        given = ["-r", "__ns:=/arena", "-p", "port:=0", "-p", "look_s:=0.2", "-p", "service_timeout_s:=2.0"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, *given], stdout=out, stderr=subprocess.STDOUT, env=os.environ
            )
        self.clients: list[FoxgloveClient] = []
        self.port = self._port()

    def _port(self) -> int:
        deadline = time.monotonic() + 60.0
        while (found := re.search(r"ws://127\.0\.0\.1:(\d+)", self._log.read_text())) is None:
            assert self.process.poll() is None and time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)  # how often it looks; the process says it in its log
        return int(found[1])

    def client(self, **options: Any) -> FoxgloveClient:
        self.clients.append(FoxgloveClient(self.port, **options))
        return self.clients[-1]

    def end(self) -> int:
        for client in self.clients:
            client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def robot_side(module_ros_domain: int) -> Iterator[RobotSide]:
    side = RobotSide()
    yield side
    side.close()


@pytest.fixture(scope="module")
def inspection(robot_side: RobotSide, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspection]:
    found = Inspection(tmp_path_factory.mktemp("inspection") / "log")
    yield found
    assert found.end() == 0


@pytest.fixture
def client(inspection: Inspection) -> Iterator[FoxgloveClient]:
    found = inspection.client()
    yield found
    found.close()


def test_cycles_joints_and_pictures_are_seen_live(client: FoxgloveClient, robot_side: RobotSide) -> None:
    cycle, joints, picture = (client.newest(topic) for topic in (CYCLE, JOINTS, CAMERA))
    assert (cycle.decision, cycle.joint_names, cycle.measured[1]) == (Decision.CLAMP, list(NAMES), 0.5)
    assert joints.name == list(NAMES) and joints.position[1] == 0.5
    assert (picture.width, picture.height, picture.encoding) == (640, 480, "rgb8")
    assert bytes(picture.data) == robot_side.image.tobytes()
    first = client.newest(CYCLE).cycle_id
    client.read_for(1.0)
    seen = [client.watches[CYCLE].decode().cycle_id, client.watches[CYCLE].count]
    assert seen[0] - first >= 25 and client.channels[CYCLE]["schemaName"] == "lerobot_arena/msg/Cycle"


def test_a_topic_is_read_only_while_somebody_watches_it(
    inspection: Inspection, robot_side: RobotSide
) -> None:
    first, second = inspection.client(), inspection.client()
    assert [robot_side.watchers(topic) for topic in robot_side.publishers] == [0] * len(robot_side.publishers)
    first.newest(CYCLE), second.newest(CYCLE)
    assert robot_side.watchers(CYCLE) == 1, "two clients, one subscription"
    assert robot_side.watchers(CAMERA) == 0
    first.leave(CYCLE)
    second.newest(CYCLE)
    assert robot_side.watchers(CYCLE) == 1
    second.vanish()
    first.until(lambda: robot_side.watchers(CYCLE) == 0, "no subscription after the last has gone")
    first.close()


def test_what_is_latched_comes_to_everybody(inspection: Inspection, client: FoxgloveClient) -> None:
    assert client.newest(DESCRIPTION).data == "<robot/>"
    assert client.newest(STATE).state == "running"
    late = inspection.client()
    assert late.newest(DESCRIPTION).data == "<robot/>"
    assert late.newest(STATE).state == "running"
    late.close()


def test_services_are_called_and_answer(client: FoxgloveClient, robot_side: RobotSide) -> None:
    robot_side.calls.clear()
    for verb, name in topics.GUARD_VERBS.items():
        assert client.call(topics.on_arm("arm", name)) == (verb != "start", f"{verb} was heard")
    assert robot_side.calls == list(topics.GUARD_VERBS)
    assert not [name for name in client.services if "robot_side" in name or "get_parameters" in name]


def test_a_service_that_hangs_delays_no_message(client: FoxgloveClient, robot_side: RobotSide) -> None:
    client.newest(JOINTS)
    before = client.watches[JOINTS].count
    robot_side.delay_s = 4.0
    try:
        with pytest.raises(RuntimeError, match="did not answer within"):
            client.call(topics.on_arm("arm", topics.STOP))
    finally:
        robot_side.delay_s = 0.0
    assert client.watches[JOINTS].count - before >= 50, "the service had 2 s"


def test_an_estop_without_an_answer_is_sent_as_a_topic_too(
    client: FoxgloveClient, robot_side: RobotSide
) -> None:
    client.until(lambda: topics.on_arm("arm", topics.ESTOP) in client.services, "an e-stop")
    robot_side.calls.clear()
    robot_side.delay_s = 3.0
    try:
        with pytest.raises(RuntimeError, match="did not answer within"):
            client.call(topics.on_arm("arm", topics.ESTOP))
    finally:
        robot_side.delay_s = 0.0
    client.until(lambda: {"empty", "estop"} <= set(robot_side.calls), "both ways")


def test_parameters_are_listed_and_stay_as_they_are(client: FoxgloveClient) -> None:
    name = "/arena/foxglove.backlog"

    def ask() -> bool:
        client.ask_parameters()
        client.read_for(0.2)
        return name in client.parameters

    client.until(ask, "the parameters")
    assert client.parameters[name] == 128 and client.parameters["/arena/foxglove.frame"] == "base_link"
    client.parameters.clear()
    client.set_parameter(name, 4096)
    client.until(lambda: name in client.parameters, "an answer")
    assert client.parameters[name] == 128
    client.parameters.clear()
    client.ask_parameters(name, "/nobody.nothing")
    client.until(lambda: client.parameters, "an answer")
    assert client.parameters == {name: 128}


def test_boundaries_in_force_are_drawn_while_somebody_looks(
    client: FoxgloveClient, robot_side: RobotSide
) -> None:
    shown = client.newest(MARKERS).markers
    assert [(marker.ns, marker.type, marker.action) for marker in shown] == [
        ("", 0, 3), ("cell", 1, 0), ("cell", 9, 0),
    ]  # fmt: skip
    assert (shown[1].scale.x, shown[1].scale.z, shown[1].pose.position.y) == (1.0, 4.0, 1.0)
    assert shown[1].header.frame_id == "base_link"
    robot_side.say(STATE, GuardState("arm", config_version=5))
    client.until(lambda: len(client.watches[MARKERS].decode().markers) == 1, "no boundary is active any more")
    robot_side.say(STATE, GuardState("arm", state="running", config_version=5, active_boundaries=("cell",)))
    client.leave(MARKERS)
    client.until(lambda: robot_side.watchers(STATE) == 0, "nobody looks, nothing is read")


def test_a_client_that_never_reads_slows_nobody(inspection: Inspection, client: FoxgloveClient) -> None:
    for topic in (CAMERA, CYCLE):
        client.newest(topic)
    client.read_for(1.0)
    cycles, pictures = (client.watches[topic].count for topic in (CYCLE, CAMERA))
    client.read_for(3.0)
    alone = [client.watches[CYCLE].count - cycles, client.watches[CAMERA].count - pictures]
    stuck = [inspection.client() for _ in range(2)]
    for one in stuck:
        one.newest(CAMERA), one.watch(CYCLE)
    client.read_for(3.0)  # what two stuck clients take before they are full
    cycles, pictures = (client.watches[topic].count for topic in (CYCLE, CAMERA))
    client.read_for(3.0)
    beside = [client.watches[CYCLE].count - cycles, client.watches[CAMERA].count - pictures]
    assert beside[0] >= 0.8 * alone[0] and beside[1] >= 0.8 * alone[1], (alone, beside)
    for one in stuck:
        one.vanish()


def test_pages_of_other_sites_do_not_come_in(inspection: Inspection) -> None:
    for origin in ("http://evil.example", "null", "https://app.foxglove.dev.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            inspection.client(origin=origin)
        assert refused.value.response.status_code == 403
        assert b"parameter origins" in refused.value.response.body
    allowed = inspection.client(origin="https://app.foxglove.dev")
    allowed.until(lambda: allowed.info, "the server's greeting")
