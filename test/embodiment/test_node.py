# SPDX-License-Identifier: Apache-2.0
"""The embodiment node as a process, over real DDS: a guard's place is taken by this test."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.embodiment.simulation.scene import HOME_RAD
from lerobot_arena.testing.bench import wait_until
from lerobot_arena.testing.servos import STATUS, ServoBus

pytestmark = [pytest.mark.ros, pytest.mark.timeout(120)]

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
HOME = tuple(HOME_RAD[name] for name in NAMES)
TARGET = (0.3, -1.0, 0.9, 1.0, 1.2, 0.5)


class Guard:
    """The other side: hears the arm, commands it, calls its services."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from lerobot_arena.ros import convert, qos

        self.convert = convert
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("guard", context=self.context)
        self.latest: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.sequence = 0
        self.epoch = 1
        own = convert.own
        for message_type, topic, profile in (
            (convert.JointState, "/arm/joint_states", qos.SENSOR),
            (own.EmbodimentStatus, "/arm/embodiment/status", qos.LATCHED),
            (own.TaskStatus, "/arm/task/status", qos.LATCHED),
            (convert.String, "/arm/robot_description", qos.LATCHED),
            (convert.DiagnosticArray, "/diagnostics", qos.STREAM),
        ):
            self.hear(message_type, topic, profile)
        self.commands = self.node.create_publisher(own.JointCommand, "/arm/command", qos.COMMAND)
        self.clients = {
            name: self.node.create_client(convert.Trigger, f"/arm/embodiment/{name}")
            for name in ("emergency_stop", "clear_emergency", "reset_scene", "repeat_scene")
        }
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()

    def hear(self, message_type: Any, topic: str, profile: Any) -> None:
        def keep(message: Any) -> None:
            self.latest[topic] = message
            self.counts[topic] = self.counts.get(topic, 0) + 1

        self.node.create_subscription(message_type, topic, keep, profile)

    @property
    def status(self) -> Any:
        return self.latest.get("/arm/embodiment/status")

    def positions(self) -> np.ndarray:
        return np.array(self.latest["/arm/joint_states"].position)

    def is_at(self, target: tuple[float, ...], tolerance_rad: float = 0.08) -> bool:
        return "/arm/joint_states" in self.latest and bool(
            np.abs(self.positions() - target).max() < tolerance_rad
        )

    def wait_connected(self) -> None:
        wait_until(
            "a connected arm",
            lambda: (
                self.status is not None and self.status.is_connected and "/arm/joint_states" in self.latest
            ),
            60.0,
        )
        wait_until("the command's subscriber", lambda: self.commands.get_subscription_count() == 1)

    def command(self, positions: tuple[float, ...] = TARGET, **changes: Any) -> None:
        self.sequence += 1
        fields = {
            "epoch": self.epoch,
            "sequence": self.sequence,
            "joint_names": list(NAMES),
            "positions": [float(value) for value in positions],
            "period_s": 0.02,
        } | changes
        message = self.convert.own.JointCommand(**fields)
        message.stamp = self.node.get_clock().now().to_msg()
        self.commands.publish(message)

    def drive(self, target: tuple[float, ...], seconds: float = 5.0) -> None:
        """Command at 50 Hz until the arm is there."""
        deadline = time.monotonic() + seconds
        while not self.is_at(target):
            assert time.monotonic() < deadline, f"{self.positions()} is not {target}; {self.status}"
            self.command(target)
            time.sleep(0.02)

    def refused(self, words: str, **changes: Any) -> None:
        """One command that must be refused for this reason."""
        before = self.status.commands_refused
        self.command(**changes)
        wait_until(f"refusal: {words}", lambda: self.status.commands_refused > before)
        assert words in self.status.refusal

    def refused_once_seen(self, words: str, positions: tuple[float, ...]) -> None:
        """Commands until they are refused for this reason: each process discovers a publisher in its own time."""

        before = self.status.commands_refused

        def is_refused() -> bool:
            self.command(positions)
            time.sleep(0.1)
            return self.status.commands_refused > before and words in self.status.refusal

        wait_until(f"refusal: {words}", is_refused, 30.0)

    def accepted(self, positions: tuple[float, ...]) -> None:
        """One command that must be let through. The next could overtake it: the topic keeps the newest only."""
        before = self.status.commands_received - self.status.commands_refused
        self.command(positions)
        wait_until(
            "a command let through",
            lambda: self.status.commands_received - self.status.commands_refused > before,
        )

    def call(self, name: str) -> tuple[bool, str]:
        client = self.clients[name]
        assert client.wait_for_service(10.0)
        pending = client.call_async(self.convert.Trigger.Request())
        answer = wait_until(f"{name}'s answer", lambda: pending.done() and pending.result(), 10.0)
        return answer.success, answer.message


@pytest.fixture
def guard(ros_domain: int) -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


class NodeProcess:
    """One embodiment process with its log."""

    def __init__(self, log: Path, **params: str) -> None:
        arguments = [part for key, value in params.items() for part in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-P", "-m", "lerobot_arena.embodiment.node"]
        command += ["--ros-args", "-r", "__ns:=/arm", *arguments]
        self.log = log
        with log.open("wb") as out:
            # A pipe nobody writes to: whoever reads from the keyboard would wait here for ever.
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20.0)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        print(self.log.read_text())


@pytest.fixture
def start_node(ros_domain: int, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    with ExitStack() as stack:

        def start(**params: str) -> NodeProcess:
            process = NodeProcess(tmp_path / "embodiment.log", **params)
            stack.callback(process.close)
            return process

        yield start


def test_the_simulated_arm_is_all_there(guard: Guard, start_node: Callable[..., NodeProcess]) -> None:
    from lerobot_arena.ros import convert, qos

    for camera in ("front", "wrist"):
        guard.hear(convert.Image, f"/arm/cameras/{camera}/image_raw", qos.CAMERA_SUBSCRIBER)
    node = start_node(backend="mujoco", seed="5")
    guard.wait_connected()
    state = guard.latest["/arm/joint_states"]
    assert tuple(state.name) == NAMES and len(state.velocity) == 6
    assert guard.is_at(HOME, 0.15)
    for camera in ("front", "wrist"):
        image = wait_until(camera, lambda c=camera: guard.latest.get(f"/arm/cameras/{c}/image_raw"))
        assert (image.encoding, image.width, image.height, image.step) == ("rgb8", 640, 480, 1920)
        assert image.header.frame_id == f"{camera}_optical_frame"
    status = guard.status
    assert (status.arm, status.backend, status.robot) == ("arm", "mujoco", "so101")
    assert status.is_holding and not status.is_stopped and list(status.camera_names) == ["front", "wrist"]
    assert "<robot" in guard.latest["/arm/robot_description"].data
    task = wait_until("the referee", lambda: guard.latest.get("/arm/task/status"))
    assert (task.task, task.seed, task.is_over) == ("pick_place", 5, False)
    wait_until("good health", lambda: guard.latest["/diagnostics"].status[0].level == b"\x00")
    report = guard.latest["/diagnostics"].status[0]
    assert (report.name, report.hardware_id) == ("arm: embodiment", "mujoco:so101")
    count = guard.counts["/arm/joint_states"]
    time.sleep(1.0)
    assert 10 < guard.counts["/arm/joint_states"] - count < 150
    children = psutil.Process(node.process.pid).children()
    assert node.terminate() == 0
    assert not any(child.is_running() for child in children)


def test_commands_move_it_silence_holds_it_and_bad_ones_are_refused(
    guard: Guard, start_node: Callable[..., NodeProcess]
) -> None:
    start_node(backend="mujoco", publish_cameras="false")
    guard.wait_connected()
    guard.drive(TARGET)
    assert not wait_until("driving", lambda: guard.status).is_stopped
    wait_until("holding after the time-out", lambda: guard.status.is_holding, 3.0)
    time.sleep(0.5)
    assert guard.is_at(TARGET), "without commands it stays where it was sent"

    before = guard.positions()
    guard.refused("not a finite number", positions=(float("nan"),) * 6)
    guard.refused("5 positions for 6 joints", positions=TARGET[:5])
    guard.refused("7 positions for 6 joints", positions=(*TARGET, 0.0))
    guard.refused("unknown claw", joint_names=[*NAMES[:5], "claw"])
    guard.refused("shoulder_pan at 5.0000 rad", positions=(5.0, *TARGET[1:]))
    guard.refused("late or repeated", sequence=1)
    guard.epoch = 3
    guard.accepted(TARGET)
    guard.refused("epoch 2, which is over", epoch=2, positions=HOME)
    wait_until("holding", lambda: guard.status.is_holding)
    assert np.abs(guard.positions() - before).max() < 0.03, "nothing that was refused moved it"


def test_emergency_stop_and_scene_reset(guard: Guard, start_node: Callable[..., NodeProcess]) -> None:
    start_node(backend="mujoco", publish_cameras="false")
    guard.wait_connected()
    guard.drive(TARGET)
    success, words = guard.call("reset_scene")
    assert not success and "The arm is being driven" in words

    success, words = guard.call("emergency_stop")
    assert success and "holds its last target" in words
    assert guard.status.is_stopped and guard.status.is_holding
    guard.refused("Emergency stop", positions=HOME)
    assert "clear it before" in guard.call("reset_scene")[1]
    assert guard.call("clear_emergency") == (True, "Cleared; the arm moves with the next start.")
    guard.refused("which is over", positions=HOME)
    assert guard.is_at(TARGET, 0.15), "neither the stop nor its end moves the arm"
    guard.epoch += 1
    guard.drive(HOME)

    wait_until("holding", lambda: guard.status.is_holding)
    assert guard.call("reset_scene") == (True, "Scene 1.")
    wait_until("the next episode", lambda: guard.latest["/arm/task/status"].episode == 2)
    assert guard.call("repeat_scene") == (True, "Scene 1.")
    wait_until("the same again", lambda: guard.latest["/arm/task/status"].episode == 3)


def test_a_second_publisher_stops_the_arm_and_a_killed_one_does_not(
    guard: Guard, start_node: Callable[..., NodeProcess]
) -> None:
    from lerobot_arena.ros import qos

    start_node(backend="mujoco", publish_cameras="false")
    guard.wait_connected()
    guard.drive(TARGET)
    rival = guard.node.create_publisher(guard.convert.own.JointCommand, "/arm/command", qos.COMMAND)
    wait_until("the rival", lambda: guard.node.count_publishers("/arm/command") == 2)
    time.sleep(0.5)
    guard.refused_once_seen("2 nodes publish commands", HOME)
    guard.node.destroy_publisher(rival)
    wait_until("the rival's end", lambda: guard.node.count_publishers("/arm/command") == 1)
    time.sleep(0.5)
    guard.drive(HOME)

    program = (
        "import rclpy, time; from lerobot_arena.ros import convert, host, qos; host.init_ros();"
        "n = rclpy.create_node('old_guard');"
        "p = n.create_publisher(convert.own.JointCommand, '/arm/command', qos.COMMAND); time.sleep(60)"
    )
    old = subprocess.Popen([sys.executable, "-c", program])
    try:
        wait_until("the old guard", lambda: guard.node.count_publishers("/arm/command") == 2, 30.0)
        time.sleep(0.5)
        guard.refused_once_seen("2 nodes publish commands", TARGET)
    finally:
        old.kill()
        old.wait()
    killed = time.monotonic()
    guard.drive(TARGET)
    assert time.monotonic() - killed < 2.5, "the lease of 3 s need not run out"


@pytest.mark.lerobot
@pytest.mark.slow
@pytest.mark.timeout(300)  # importing LeRobot twice over, on a busy machine
def test_a_lerobot_arm_never_prompts_and_keeps_its_torque_on_sigterm(
    guard: Guard, start_node: Callable[..., NodeProcess], desk: tuple[RobotSpec, Path], servos: ServoBus
) -> None:
    from lerobot_arena.ros import qos

    _, config = desk
    guard.hear(guard.convert.own.HardwareReading, "/arm/embodiment/hardware", qos.STREAM)
    servos.is_silent = True
    node = start_node(
        backend="lerobot",
        robot=str(config.parent / "desk.yaml"),
        robot_config=str(config),
        torque_warning_s="0.3",
    )
    wait_until("the reason", lambda: guard.status and "does not answer" in guard.status.message, 120.0)
    guard.refused("not connected")
    assert not servos.journal and "support the arm now" not in node.log.read_text()
    servos.is_silent = False
    guard.wait_connected()
    assert "support the arm now" in node.log.read_text()
    assert Path(f"/proc/{node.process.pid}/fd/0").readlink() == Path("/dev/null"), "nothing can prompt"
    guard.drive((0.2, 0.1, -0.2, 0.1, 0.3, 0.5))
    reading = wait_until("the motors' health", lambda: guard.latest.get("/arm/embodiment/hardware"))
    assert tuple(reading.joint_names) == NAMES and list(reading.temperature_c) == [31, 32, 33, 34, 35, 36]

    servos.servos[3].memory[STATUS] = 32
    wait_until("H3: the protective stop", lambda: guard.status.is_protective_stop)
    assert guard.status.is_connected and "elbow_flex: overloaded" in guard.status.message
    guard.refused("stopped by itself")
    servos.servos[3].memory[STATUS] = 0
    wait_until("its recovery", lambda: not guard.status.is_protective_stop)
    guard.refused("which is over; start again")
    guard.epoch += 1
    guard.drive((0.1, 0.1, -0.2, 0.1, 0.3, 0.5))

    success, words = guard.call("emergency_stop")
    assert success and "hold their last goal with torque on" in words
    assert guard.call("reset_scene")[0] is False
    cuts, goals = servos.torque_cuts(), servos.goals()
    assert node.terminate() == 0
    assert servos.torques() == [True] * 6 and servos.torque_cuts() == cuts and servos.goals() == goals


def test_an_arm_behind_topics(guard: Guard, start_node: Callable[..., NodeProcess]) -> None:
    """A ros2_control arm's part is played here: joint states, a trajectory controller, a camera driver."""
    from lerobot_arena.ros import convert, qos

    controller = "/follower/joint_trajectory"
    guard.hear(convert.JointTrajectory, controller, qos.COMMAND)
    guard.hear(convert.Image, "/arm/cameras/front/image_raw", qos.CAMERA_SUBSCRIBER)
    joints = guard.node.create_publisher(convert.JointState, "/joint_states", qos.STREAM)
    camera = guard.node.create_publisher(convert.Image, "/camera/color", qos.SENSOR)
    place = {"target": HOME}

    def publish() -> None:
        sent = guard.latest.get(controller)
        if sent is not None and sent.points:
            place["target"] = tuple(sent.points[0].positions)
        names = ["wheel", "Rotation", *NAMES[1:]]
        joints.publish(convert.JointState(name=names, position=[3.0, *place["target"]]))
        camera.publish(convert.Image(height=2, width=2, encoding="bgr8", step=6, data=bytes(range(12))))

    guard.node.create_timer(0.02, publish)
    start_node(backend="topics", command_topic=controller, camera_topics='["front=/camera/color"]')
    guard.wait_connected()
    assert guard.is_at(HOME, 1e-6) and tuple(guard.latest["/arm/joint_states"].name) == NAMES
    guard.drive(TARGET)
    sent = guard.latest[controller]
    assert list(sent.joint_names) == ["Rotation", *NAMES[1:]] and sent.header.stamp.sec == 0
    assert sent.points[0].time_from_start.nanosec == 40_000_000
    image = wait_until("the relayed image", lambda: guard.latest.get("/arm/cameras/front/image_raw"))
    assert image.encoding == "bgr8" and bytes(image.data) == bytes(range(12))
    assert list(guard.status.camera_names) == ["front"]
    count = guard.counts[controller]
    success, words = guard.call("emergency_stop")
    assert success and "A topic acknowledges nothing" in words
    wait_until("the cancel", lambda: guard.counts[controller] == count + 1)
    assert not guard.latest[controller].points, "a stop is never a new position"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("robot", "so999", "There is no robot 'so999'"),
        ("torque_off_on_estop", "true", "nothing here can cut the torque of a mujoco arm"),
    ],
)
def test_a_wrong_parameter_ends_the_process_with_the_reason(
    name: str, value: str, words: str, start_node: Callable[..., NodeProcess]
) -> None:
    node = start_node(**{name: value})
    assert node.process.wait(timeout=30.0) == 2
    assert words in node.log.read_text()


def test_a12_h5_an_arm_that_was_pushed_out_comes_in_and_a_silent_one_is_told_at_once(
    guard: Guard, start_node: Callable[..., NodeProcess]
) -> None:
    """An arm behind topics, because its place can be chosen; its elbow stands 0.1 rad outside the limit of 1.69."""
    from lerobot_arena.ros import convert, qos

    controller = "/follower/joint_trajectory"
    guard.hear(convert.JointTrajectory, controller, qos.COMMAND)
    joints = guard.node.create_publisher(convert.JointState, "/joint_states", qos.STREAM)
    outside = (0.0, -0.8, 1.79, 1.5, 1.5, 0.9)
    place = {"now": outside}
    timer = guard.node.create_timer(
        0.02, lambda: joints.publish(convert.JointState(name=list(NAMES), position=list(place["now"])))
    )
    start_node(backend="topics", command_topic=controller)
    guard.wait_connected()
    guard.refused("it may be -1.6900 to 1.7900", positions=(*outside[:2], 1.85, *outside[3:]))
    for elbow in (1.79, 1.75):
        guard.accepted((*outside[:2], elbow, *outside[3:]))
    sent = wait_until("the command", lambda: guard.latest.get(controller))
    assert sent.points[0].positions[2] == pytest.approx(1.75)
    place["now"] = (*outside[:2], 1.5, *outside[3:])
    wait_until("it is in", lambda: abs(guard.positions()[2] - 1.5) < 1e-6)
    guard.accepted((*outside[:2], 1.5, *outside[3:]))
    guard.refused("it may be -1.6900 to 1.6900", positions=outside)

    timer.cancel()
    begun = time.monotonic()
    wait_until("the loss", lambda: not guard.status.is_connected)
    assert time.monotonic() - begun < 1.5, "half a second of silence, and told at once"
    guard.refused("not connected")
