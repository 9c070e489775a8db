# SPDX-License-Identifier: Apache-2.0
"""The embodiment node as a process, over real DDS: a guard's place is taken by this test."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.testing.bench import wait_until
from lerobot_arena.testing.embodiment_rig import HOME, NAMES, TARGET, EmbodimentProcess, GuardStandIn
from lerobot_arena.testing.servos import STATUS, ServoBus

pytestmark = [pytest.mark.ros, pytest.mark.timeout(120)]


@pytest.fixture
def guard(ros_domain: int) -> Iterator[GuardStandIn]:
    guard = GuardStandIn()
    guard.start()
    yield guard
    guard.close()


@pytest.fixture
def start_node(ros_domain: int, tmp_path: Path) -> Iterator[Callable[..., EmbodimentProcess]]:
    with ExitStack() as stack:

        def start(**params: str) -> EmbodimentProcess:
            process = EmbodimentProcess(tmp_path / "embodiment.log", **params)
            stack.callback(process.close)
            return process

        yield start


def test_the_simulated_arm_is_all_there(
    guard: GuardStandIn, start_node: Callable[..., EmbodimentProcess]
) -> None:
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
    time.sleep(1.0)  # a second's worth of states is what is counted
    assert 10 < guard.counts["/arm/joint_states"] - count < 150
    children = psutil.Process(node.process.pid).children()
    assert node.terminate() == 0
    assert not any(child.is_running() for child in children)


def test_commands_move_it_silence_holds_it_and_bad_ones_are_refused(
    guard: GuardStandIn, start_node: Callable[..., EmbodimentProcess]
) -> None:
    start_node(backend="mujoco", publish_cameras="false")
    guard.wait_connected()
    guard.drive(TARGET)
    assert not wait_until("driving", lambda: guard.status).is_stopped
    wait_until("holding after the time-out", lambda: guard.status.is_holding, 3.0)
    time.sleep(0.5)  # long enough to have sagged or gone on
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


def test_emergency_stop_and_scene_reset(
    guard: GuardStandIn, start_node: Callable[..., EmbodimentProcess]
) -> None:
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
    guard: GuardStandIn, start_node: Callable[..., EmbodimentProcess]
) -> None:
    from lerobot_arena.ros import qos

    start_node(backend="mujoco", publish_cameras="false")
    guard.wait_connected()
    guard.drive(TARGET)
    rival = guard.node.create_publisher(guard.convert.own.JointCommand, "/arm/command", qos.COMMAND)
    wait_until("the rival", lambda: guard.node.count_publishers("/arm/command") == 2)
    time.sleep(0.5)  # it finds the rival in its own time
    guard.refused_once_seen("2 nodes publish commands", HOME)
    guard.node.destroy_publisher(rival)
    wait_until("the rival's end", lambda: guard.node.count_publishers("/arm/command") == 1)
    time.sleep(0.5)  # and that it went
    guard.drive(HOME)

    program = (
        "import rclpy, time; from lerobot_arena.ros import convert, host, qos; host.init_ros();"
        "n = rclpy.create_node('old_guard');"
        "p = n.create_publisher(convert.own.JointCommand, '/arm/command', qos.COMMAND); time.sleep(60)"
    )
    old = subprocess.Popen([sys.executable, "-c", program])
    try:
        wait_until("the old guard", lambda: guard.node.count_publishers("/arm/command") == 2, 30.0)
        time.sleep(0.5)  # it finds the old guard in its own time
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
    guard: GuardStandIn,
    start_node: Callable[..., EmbodimentProcess],
    desk: tuple[RobotSpec, Path],
    servos: ServoBus,
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


def test_an_arm_behind_topics(guard: GuardStandIn, start_node: Callable[..., EmbodimentProcess]) -> None:
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
    name: str, value: str, words: str, start_node: Callable[..., EmbodimentProcess]
) -> None:
    node = start_node(**{name: value})
    assert node.process.wait(timeout=30.0) == 2
    assert words in node.log.read_text()


def test_a12_h5_an_arm_that_was_pushed_out_comes_in_and_a_silent_one_is_told_at_once(
    guard: GuardStandIn, start_node: Callable[..., EmbodimentProcess]
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
