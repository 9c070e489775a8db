# SPDX-License-Identifier: Apache-2.0
"""The embodiment node: commands in through the gate, joints and images out, whatever the backend is.

No callback waits: connecting happens on a thread of its own, and every backend works on its own threads.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lerobot_arena.core import topics
from lerobot_arena.core.clock import SystemClock, seconds_between
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, Unavailable
from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.core.ids import check_arm
from lerobot_arena.core.observation import CameraFrame, FloatArray
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import EmbodimentStatus
from lerobot_arena.embodiment.description import robot_description
from lerobot_arena.embodiment.gate import CommandGate, GateRules
from lerobot_arena.embodiment.params import LEROBOT, MUJOCO, TOPICS, TRAJECTORY, EmbodimentParams
from lerobot_arena.embodiment.protocol import Condition, Embodiment, JointReading, Outlet, Simulated
from lerobot_arena.embodiment.publishers import LivingPublishers
from lerobot_arena.embodiment.table import BACKENDS
from lerobot_arena.embodiment.topics_backend import TopicsEmbodiment
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.host import ArenaNode, run_node

_TICK_S = 0.05
_TICKS_PER_TASK_STATUS = 4
_TICKS_PER_STATUS = 10
_TICKS_PER_DIAGNOSTICS = 20
_RECONNECT_S = 2.0
_CONNECT_ENDS_WITHIN_S = 10.0
_OK, _WARN, _ERROR = 0, 1, 2
# An older measurement says nothing about where the arm is now.
_MEASURED_FOR_S = 0.5


class ControllerWire:
    """Commands to a ros2_control controller."""

    def __init__(self, node: ArenaNode, params: EmbodimentParams) -> None:
        is_trajectory = params.command_kind == TRAJECTORY
        message_type = convert.JointTrajectory if is_trajectory else convert.Float64MultiArray
        self._publisher = node.create_publisher(message_type, params.command_topic, qos.COMMAND)

    def send_trajectory(self, names: Sequence[str], positions: Sequence[float], seconds: float) -> None:
        self._publisher.publish(convert.trajectory_to_msg(names, positions, seconds))

    def send_group(self, positions: Sequence[float]) -> None:
        self._publisher.publish(convert.group_to_msg(positions))

    def listener_count(self) -> int:
        return int(self._publisher.get_subscription_count())


class EmbodimentNode(ArenaNode):
    """One arm."""

    params_type = EmbodimentParams
    params: EmbodimentParams

    def __init__(self) -> None:
        super().__init__("embodiment")
        self._steady = SystemClock()
        self._backend: Embodiment | None = None
        self._connector: threading.Thread | None = None
        self._ending = threading.Event()
        self._trouble = ""
        self._cameras: dict[str, Any] = {}
        self._ticks = 0
        self._was_holding = True
        self._was: tuple[bool, ...] = ()
        self._reading: JointReading | None = None
        self._has_description = False

    def set_up(self) -> None:
        """Robot file, gate, publishers, services."""
        check_arm(self.arm)
        if self.params.torque_off_on_estop and self.params.backend != LEROBOT:
            raise InvalidInput(
                "torque_off_on_estop is for LeRobot robots: nothing here can cut the torque of a "
                f"{self.params.backend} arm."
            )
        self.robot: RobotSpec = load_robot(self.params.robot)
        rules = GateRules(
            self.params.command_timeout_s, self.params.limit_tolerance_rad, self.params.max_command_age_s
        )
        self._gate = CommandGate(self.robot, rules, self._steady)
        self._living = LivingPublishers()
        self._command_topic = topics.on_arm(self.arm, topics.COMMAND)
        self._joints = self.create_publisher(convert.JointState, topics.JOINT_STATES, qos.SENSOR)
        self._status = self.create_publisher(
            convert.own.EmbodimentStatus, topics.EMBODIMENT_STATUS, qos.LATCHED
        )
        if self.params.backend == LEROBOT:
            self._hardware = self.create_publisher(convert.own.HardwareReading, topics.HARDWARE, qos.STREAM)
        self._task = self.create_publisher(convert.own.TaskStatus, topics.TASK_STATUS, qos.LATCHED)
        self._description = self.create_publisher(convert.String, topics.ROBOT_DESCRIPTION, qos.LATCHED)
        self._diagnostics = self.create_publisher(convert.DiagnosticArray, "/diagnostics", qos.STREAM)
        self.create_subscription(convert.own.JointCommand, topics.COMMAND, self._on_command, qos.COMMAND)
        for name, verb in (
            (topics.EMERGENCY_STOP, self._emergency_stop),
            (topics.CLEAR_EMERGENCY, self._clear_emergency),
            (topics.RESET_SCENE, lambda: self._begin_scene(lambda simulated: simulated.reset_scene())),
            (topics.REPEAT_SCENE, lambda: self._begin_scene(lambda simulated: simulated.repeat_scene())),
        ):
            self.create_service(convert.Trigger, name, self._service(verb))

    def start(self) -> None:
        """Make the backend and connect it, which may take seconds, beside the executor."""
        self._ending.clear()
        wire = ControllerWire(self, self.params) if self.params.backend == TOPICS else None
        self._backend = BACKENDS.load(self.params.backend)(self.robot, self.params, wire)
        if isinstance(self._backend, TopicsEmbodiment):
            self._subscribe_source(self._backend)
        self._connector = threading.Thread(
            target=self._connect, args=(self._backend,), name="connect", daemon=True
        )
        self._connector.start()
        self._timer = self.create_timer(_TICK_S, self._tick)

    def stop(self) -> None:
        """Let go of the backend; the arm keeps its last target and its torque."""
        self._ending.set()
        backend, self._backend = self._backend, None
        if backend is None:
            return
        self.destroy_timer(self._timer)
        backend.close()
        if self._connector is not None:
            # A robot that is being configured has its torque off: ending now would let it fall.
            self._connector.join(timeout=_CONNECT_ENDS_WITHIN_S)
            backend.close()

    def tear_down(self) -> None:
        """Publishers, services and subscriptions end with the node."""

    def _connect(self, backend: Embodiment) -> None:
        outlet = Outlet(
            self._publish_joints, self._publish_frame, self._wants_frame, self._warn, self._publish_hardware
        )
        while not self._ending.is_set():
            self._trouble = "Connecting."
            try:
                self._describe()
                backend.connect(outlet)
                self._trouble = ""
                return
            except Unavailable as error:
                self._warn(f"{error} Trying again every {_RECONNECT_S:.0f} s.")
                self._trouble = str(error)
                self._ending.wait(_RECONNECT_S)
            except ArenaError as error:
                self.get_logger().error(str(error))
                self._trouble = str(error)
                return
            except BaseException as error:
                self._trouble = f"Connecting failed: {type(error).__name__}: {error}"
                self.get_logger().error(self._trouble)
                raise

    def _describe(self) -> None:
        if self._has_description:
            return
        is_simulated = self.params.backend == MUJOCO
        text = robot_description(self.robot, self.params.urdf, is_simulated=is_simulated)
        if text:
            self._description.publish(convert.String(data=text))
        self._has_description = True

    def _subscribe_source(self, backend: TopicsEmbodiment) -> None:
        own = self.resolve_topic_name(topics.JOINT_STATES)
        if self.resolve_topic_name(self.params.joint_topic) == own:
            raise InvalidInput(
                f"joint_topic {self.params.joint_topic} is where this node publishes; start it in another namespace."
            )

        def receive(message: Any) -> None:
            try:
                sample = convert.joints_from_state(message, self._steady.steady_ns())
            except InvalidInput as error:
                self.get_logger().warning(str(error), throttle_duration_sec=1.0)
                return
            backend.receive(sample, np.array(message.velocity, dtype=np.float64))

        self.create_subscription(convert.JointState, self.params.joint_topic, receive, qos.SENSOR)
        for name, topic in backend.camera_topics.items():
            relay = self._camera(name)
            self.create_subscription(
                convert.Image, topic, relay.publish, qos.CAMERA_SUBSCRIBER, raw=True
            )  # bytes in, bytes out

    def _on_command(self, message: Any) -> None:
        backend = self._backend
        if backend is None or (problem := _deafness(backend.condition())):
            self._gate.interrupt()
            self._gate.refuse(problem if backend is not None else "The node is not active.")
            return
        try:
            command = convert.command_from_msg(message)
            positions = self._gate.accept(command, self._commanders(), self._measured())
        except (InvalidInput, Conflict) as error:
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        backend.command(positions, command.period_s)

    def _measured(self) -> FloatArray | None:
        """Where the joints are now, when that is known."""
        reading = self._reading
        if reading is None:
            return None
        age_s = seconds_between(reading.sample.receipt_ns, self._steady.steady_ns())
        return reading.sample.values if age_s <= _MEASURED_FOR_S else None

    def _commanders(self) -> frozenset[str]:
        found = self.get_publishers_info_by_topic(self._command_topic)
        return self._living.among((bytes(info.endpoint_gid), info.node_name) for info in found)

    def _emergency_stop(self) -> tuple[bool, str]:
        self._gate.stop()
        backend = self._backend
        if backend is None:
            return False, "The node is not active; commands are ignored."
        answer = backend.emergency_stop()
        self.get_logger().warning(f"Emergency stop. {answer}")
        return backend.condition().is_connected, answer

    def _clear_emergency(self) -> tuple[bool, str]:
        self._gate.clear()
        if self._backend is not None:
            self._backend.clear_emergency()
        return True, "Cleared; the arm moves with the next start."

    def _begin_scene(self, begin: Callable[[Simulated], int]) -> tuple[bool, str]:
        backend = self._backend
        if not isinstance(backend, Simulated):
            return False, f"Only the simulator has a scene; this arm is {self.params.backend!r}."
        if self._gate.is_stopped:
            return False, "Emergency stop: clear it before the scene is reset."
        if not self._gate.is_holding:
            return False, "The arm is being driven: stop the session, then reset the scene."
        try:
            return True, f"Scene {begin(backend)}."
        except Unavailable as error:
            return False, str(error)

    def _service(self, verb: Callable[[], tuple[bool, str]]) -> Callable[[Any, Any], Any]:
        def answer(_request: Any, response: Any) -> Any:
            response.success, response.message = verb()
            self._publish_status()
            return response

        return answer

    def _tick(self) -> None:
        backend = self._backend
        if backend is None:
            return
        for name in backend.camera_names:
            self._camera(name)
        self._ticks += 1
        is_holding = self._gate.is_holding
        if is_holding and not self._was_holding:
            backend.hold()
        self._was_holding = is_holding
        condition = backend.condition()
        if _deafness(condition):
            self._gate.interrupt()
        now = (is_holding, condition.is_connected, condition.is_protective_stop)
        if now != self._was or self._ticks % _TICKS_PER_STATUS == 0:
            self._publish_status()
        self._was = now
        if self._ticks % _TICKS_PER_TASK_STATUS == 0 and isinstance(backend, Simulated):
            self._task.publish(convert.to_msg(backend.task_status()))
        if self._ticks % _TICKS_PER_DIAGNOSTICS == 0:
            self._publish_diagnostics(backend)

    def _publish_status(self) -> None:
        backend = self._backend
        if backend is None:
            return
        condition = backend.condition()
        status = EmbodimentStatus(
            arm=self.arm,
            backend=self.params.backend,
            robot=self.robot.name,
            is_connected=condition.is_connected,
            is_holding=self._gate.is_holding,
            is_stopped=self._gate.is_stopped,
            is_protective_stop=condition.is_protective_stop,
            message=self._trouble or condition.message,
            joint_names=self.robot.joint_names,
            camera_names=backend.camera_names,
            command_timeout_s=self.params.command_timeout_s,
            commands_received=self._gate.received,
            commands_refused=self._gate.refused,
            refusal=self._gate.refusal,
        )
        self._status.publish(convert.to_msg(status))

    def _publish_diagnostics(self, backend: Embodiment) -> None:
        condition = backend.condition()
        message = self._trouble or condition.message
        level = _WARN if message or self._gate.is_stopped or condition.is_protective_stop else _OK
        self._diagnostics.publish(
            convert.diagnostics_to_msg(
                f"{self.arm}: embodiment",
                f"{self.params.backend}:{self.robot.name}",
                level=level if condition.is_connected else _ERROR,
                message=message or ("emergency stop" if self._gate.is_stopped else "ok"),
                values=[
                    ("commands_received", str(self._gate.received)),
                    ("commands_refused", str(self._gate.refused)),
                    *condition.counters,
                ],
                stamp_ns=self._steady.wall_ns(),
            )
        )

    def _camera(self, name: str) -> Any:
        if name not in self._cameras:
            topic = topics.camera(self.arm, name)
            self._cameras[name] = self.create_publisher(convert.Image, topic, qos.SENSOR)
        return self._cameras[name]

    def _wants_frame(self, name: str) -> bool:
        publisher = self._cameras.get(name)
        return publisher is not None and publisher.get_subscription_count() > 0

    def _publish_frame(self, frame: CameraFrame) -> None:
        self._cameras[frame.camera].publish(convert.frame_to_image(frame))

    def _publish_hardware(self, reading: HardwareReading) -> None:
        self._hardware.publish(convert.to_msg(reading))

    def _publish_joints(self, reading: JointReading) -> None:
        if np.isfinite(reading.sample.values).all():
            self._reading = reading
            self._joints.publish(convert.joints_to_state(reading.sample, reading.velocities))
        else:
            self._warn("The arm reported a joint that is not a finite number; it was not published.")

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=0.5)


def _deafness(condition: Condition) -> str:
    """Why no command can be taken; empty when they can."""
    if not condition.is_connected:
        return "The arm is not connected; commands are ignored."
    if condition.is_protective_stop:
        return f"Commands are ignored. {condition.message}"
    return ""


def _close_stdin() -> None:
    """Nothing in this process may wait for a keyboard: LeRobot's calibration would."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def main() -> int:
    """Entry point of `embodiment_node`."""
    _close_stdin()
    return run_node(EmbodimentNode)


if __name__ == "__main__":
    raise SystemExit(main())
