# SPDX-License-Identifier: Apache-2.0
"""The guard process: one real arm (its namespace), or every virtual arm. Callbacks convert, call, convert."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rclpy.exceptions import NameValidationException

from lerobot_arena.core import topics
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.cycle import ChunkRequest, CycleRecord, JointCommand
from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.core.ids import check_arm, escape
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import EmbodimentStatus, GuardState, SessionsStatus, SessionsWanted
from lerobot_arena.guard.arm import Answer, GuardedArm
from lerobot_arena.guard.belongings import Belongings
from lerobot_arena.guard.fleet import plan_fleet
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.knowledge import Knowledge
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.pacing import Pacer, set_niceness
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.predecessors import Legacy, epochs, foreign_publishers, run_folder, take_over
from lerobot_arena.guard.sink_call import SinkCall
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.host import ArenaNode, run_node

_STATE_PERIOD_S = 0.2
_CENSUS_PERIOD_S = 0.5
# A DDS GUID is 12 bytes of participant, shared by all endpoints of one process, and 4 of endpoint.
_PARTICIPANT_BYTES = 12


@dataclass(frozen=True, slots=True)
class Household:
    """What the arms of one process share."""

    params: GuardParams
    robot: RobotSpec
    epochs: Iterator[int]
    boot_id: str
    own_publishers: str
    legacy: Legacy


class ArmEdge:
    """The topics and services of one guarded arm; implements guard/ports.py."""

    def __init__(self, node: ArenaNode, arm: str, house: Household, *, is_virtual: bool) -> None:
        self._node, self._house, self._is_virtual = node, house, is_virtual
        self._own, self._rooms = Belongings(node), Belongings(node)
        self._state_lock = threading.Lock()
        self._output: Any = None
        self._room_topics = ("", "")
        self._output_sequence = 0
        self._sink_call: SinkCall | None = None
        self._pacer: Pacer | None = None
        knowledge = Knowledge(arm, house.params, house.robot, is_virtual=is_virtual)
        self.arm = GuardedArm(
            knowledge, house.params, self, epochs=house.epochs, boot_id=house.boot_id, clock=SystemClock()
        )
        self._name = partial(topics.on_arm, arm)
        self._publish_topics()
        self._subscribe()
        self._serve()

    def _publish_topics(self) -> None:
        own, make, name = convert.own, self._own.publisher, self._name
        self._command: Any = None
        if not self._is_virtual:
            self._command = make(own.JointCommand, name(topics.COMMAND), qos.COMMAND)
        self._request = make(own.ChunkRequest, name(topics.CHUNK_REQUEST), qos.EVENT)
        self._cycle = make(own.Cycle, name(topics.CYCLE), qos.STREAM)
        self._state = make(own.GuardState, name(topics.GUARD_STATE), qos.LATCHED)

    def _subscribe(self) -> None:
        own, listen, name = convert.own, self._own.subscription, self._name
        listen(own.ActionChunk, name(topics.ACTION_CHUNK), self._on_chunk, qos.STREAM)
        listen(convert.Empty, name(topics.ESTOP), lambda _: self.arm.estop("topic"), qos.STREAM)
        listen(convert.Empty, name(topics.RESET), lambda _: self.arm.reset(), qos.STREAM)
        if not self._is_virtual:
            listen(convert.JointState, name(topics.JOINT_STATES), self._on_joint_state, qos.SENSOR)
            listen(own.EmbodimentStatus, name(topics.EMBODIMENT_STATUS), self._on_embodiment, qos.LATCHED)

    def _serve(self) -> None:
        verbs: dict[str, Callable[[], Answer]] = {
            topics.START: self._start,
            topics.STOP: self.arm.stop,
            topics.ESTOP: lambda: self.arm.estop("service"),
            topics.RESET: self.arm.reset,
            topics.CLEAR_QUEUE: self.arm.clear_queue,
        }
        for name, verb in verbs.items():
            self._own.service(convert.Trigger, self._name(name), partial(_answer, verb))
        if not self._is_virtual:
            self._stop_client = self._own.client(convert.Trigger, self._name(topics.EMERGENCY_STOP))
            self._clear_client = self._own.client(convert.Trigger, self._name(topics.CLEAR_EMERGENCY))

    # Messages

    def _on_chunk(self, message: Any) -> None:
        try:
            self.arm.on_chunk(convert.chunk_from_msg(message))
        except InvalidInput as error:
            self.arm.refuse_chunk(str(error))

    def _on_joint_state(self, message: Any) -> None:
        self._take_joints(convert.joints_from_state, message)

    def _on_room_joints(self, message: Any) -> None:
        self._take_joints(convert.joints_from_room, message)

    def _take_joints(self, read: Callable[[Any, int], Any], message: Any) -> None:
        try:
            self.arm.on_joints(read(message, time.monotonic_ns()))
        except InvalidInput as error:
            self.arm.refuse_joints(str(error))

    def _on_embodiment(self, message: Any) -> None:
        self.arm.on_embodiment(convert.from_msg(EmbodimentStatus, message))

    def on_wanted(self, wanted: SessionsWanted) -> None:
        self.arm.on_wanted(wanted)
        self._follow_session()
        self.state_changed()

    def _start(self) -> Answer:
        self._follow_session()
        self.census()
        return self.arm.start()

    def _follow_session(self) -> None:
        """Speak in the selected session's rooms. Not while running: a run keeps the rooms it began with."""
        session = self.arm.knowledge.session
        if session is None or self.arm.is_running:
            return
        wanted = (session.joint_input_topic if self._is_virtual else "", session.joint_output_topic)
        if wanted == self._room_topics:
            return
        self._room_topics = wanted
        self._rooms.clear()
        self._output, self.arm.knowledge.unusable_rooms = None, ""
        source, sink = wanted
        try:
            if sink:
                self._output = self._rooms.publisher(convert.own.RoomJoints, sink, qos.STREAM)
            if source:
                self._rooms.subscription(convert.own.RoomJoints, source, self._on_room_joints, qos.SENSOR)
        except NameValidationException as error:
            self.arm.knowledge.unusable_rooms = f"The session's rooms have unusable topics: {error}"

    # Ports

    def send(self, command: JointCommand, space: JointSpace) -> None:
        if self._command is not None:
            self._command.publish(convert.to_msg(command))
        else:
            self._publish_output(command, command.positions, space.unit)

    def show_executed(self, command: JointCommand, space: JointSpace, unit: str) -> None:
        if self._command is not None and self._output is not None:
            self._publish_output(command, space.in_unit(command.positions, unit), unit or space.unit)

    def _publish_output(self, command: JointCommand, values: Vector, unit: str) -> None:
        self._output_sequence += 1
        self._output.publish(
            convert.joints_to_room(
                command.joint_names, np.array(values), unit, self._output_sequence, command.stamp_ns
            )
        )

    def request_chunk(self, request: ChunkRequest) -> None:
        self._request.publish(convert.to_msg(request))

    def publish_cycle(self, record: CycleRecord) -> None:
        self._cycle.publish(convert.cycle_to_msg(record))

    def state_changed(self) -> None:
        # Built under the lock, so that the latest state is also the last one on the wire.
        with self._state_lock:
            self._state.publish(convert.to_msg(self.arm.state()))

    def emergency_stop(self) -> None:
        if self._is_virtual:
            self.arm.sink_answered(
                "nothing more is sent to the clients; their robots hold by their own rules"
            )
        else:
            self._sink_call = SinkCall(
                self._stop_client, convert.Trigger.Request(), "emergency_stop", self.arm.sink_answered
            )

    def clear_emergency(self) -> None:
        if self._is_virtual:
            self.arm.sink_answered("")
        else:
            self._sink_call = SinkCall(
                self._clear_client, convert.Trigger.Request(), "clear_emergency", self.arm.sink_answered
            )

    def warn(self, text: str) -> None:
        self._node.get_logger().warning(f"{self.arm.knowledge.arm}: {text}")

    # Upkeep

    def look(self) -> None:
        """Every _STATE_PERIOD_S."""
        if self._sink_call is not None:
            self._sink_call.look()
        self._follow_session()
        self.state_changed()

    def census(self) -> None:
        """Who else publishes what only this guard may."""
        topic = self._room_topics[1] if self._is_virtual else self._name(topics.COMMAND)
        endpoints = self._node.get_publishers_info_by_topic(topic) if topic else []
        self.arm.on_publishers(
            foreign_publishers(
                [
                    (bytes(end.endpoint_gid).hex(), f"{end.node_namespace.rstrip('/')}/{end.node_name}")
                    for end in endpoints
                ],
                own=self._house.own_publishers,
                dead=self._house.legacy.dead_publishers(),
            )
        )

    def begin(self) -> None:
        """Start ticking; disarmed."""
        name = f"control {self.arm.knowledge.arm}"
        rate_hz = self._house.params.control_rate_hz
        self._pacer = Pacer(self.arm.tick, rate_hz=rate_hz, name=name, on_death=self.arm.fail)
        self._pacer.begin()

    def end(self) -> None:
        """End a run and stop ticking."""
        self.arm.stop("The guard process was stopped: start again.")
        if self._pacer is not None:
            self._pacer.end()
            self._pacer = None

    def close(self) -> None:
        """Free what the node made for this arm."""
        self.end()
        self._rooms.clear()
        self._own.clear()


def _answer(verb: Callable[[], Answer], _request: Any, response: Any) -> Any:
    answer = verb()
    response.success, response.message = answer.success, answer.message
    return response


class GuardNode(ArenaNode):
    """Parameter `virtual` decides: the namespace's arm, or the arms of all virtual sessions."""

    params_type = GuardParams

    def __init__(self) -> None:
        super().__init__("guard")
        self._edges: dict[str, ArmEdge] = {}
        self._refused: dict[str, Any] = {}
        self._own = Belongings(self)
        self._is_active = False

    def set_up(self) -> None:
        if not set_niceness(self.params.niceness):
            self.get_logger().info(
                f"Not allowed to run at niceness {self.params.niceness}; under load the control loop may be late. "
                "Grant CAP_SYS_NICE, or a nice limit in /etc/security/limits.conf."
            )
        robot = load_robot(self.params.robot)
        own = self._own_publishers()
        legacy = self._take_over(own)
        self._house = Household(self.params, robot, epochs(legacy.first_epoch), uuid.uuid4().hex, own, legacy)
        if not self.params.virtual:
            self._open(check_arm(self.arm))
        self._own.subscription(convert.own.SessionsWanted, topics.WANTED, self._on_wanted, qos.LATCHED)
        self._own.subscription(convert.own.SessionsStatus, topics.SESSIONS, self._on_sessions, qos.LATCHED)
        self._own.timer(_STATE_PERIOD_S, self._look)
        self._own.timer(_CENSUS_PERIOD_S, self._census)

    def _own_publishers(self) -> str:
        """The GID prefix of this process, from a publisher nobody else can have."""
        topic = f"{self.get_namespace().rstrip('/')}/guard/_probe_{uuid.uuid4().hex}"
        probe = self.create_publisher(convert.Empty, topic, qos.EVENT)
        gid = bytes(self.get_publishers_info_by_topic(topic)[0].endpoint_gid)
        self.destroy_publisher(probe)
        return gid[:_PARTICIPANT_BYTES].hex()

    def _take_over(self, own: str) -> Legacy:
        path = run_folder(os.environ) / f"guard-{escape(self.arm or 'root')}.json"
        try:
            return take_over(path, publishers=own, wall_ns=time.time_ns())
        except OSError as error:
            self.get_logger().warning(
                f"{path} cannot be written ({error}): after a crash the next guard waits for DDS to forget this one. "
                "Set ARENA_DATA_DIR to a writable folder."
            )
            return Legacy(time.time_ns() // 1_000_000)

    def start(self) -> None:
        self._is_active = True
        for edge in self._edges.values():
            edge.begin()

    def stop(self) -> None:
        self._is_active = False
        for edge in self._edges.values():
            edge.end()

    def tear_down(self) -> None:
        for arm in list(self._edges):
            self._edges.pop(arm).close()
        for publisher in self._refused.values():
            self.destroy_publisher(publisher)
        self._refused.clear()
        self._own.clear()

    def _open(self, arm: str) -> ArmEdge:
        edge = ArmEdge(self, arm, self._house, is_virtual=self.params.virtual)
        self._edges[arm] = edge
        if self._is_active:
            edge.begin()
        return edge

    def _on_wanted(self, message: Any) -> None:
        wanted = convert.from_msg(SessionsWanted, message)
        if self.params.virtual:
            self._follow_fleet(wanted)
        for edge in self._edges.values():
            edge.on_wanted(wanted)

    def _follow_fleet(self, wanted: SessionsWanted) -> None:
        change = plan_fleet(wanted, self._edges, self.params.max_virtual_arms)
        for arm in change.closed:
            self._edges.pop(arm).close()
        problems = dict.fromkeys(
            change.refused,
            f"This guard already has {self.params.max_virtual_arms} virtual arms: delete a session, or raise "
            "max_virtual_arms.",
        )
        for arm in change.opened:
            try:
                self._open(check_arm(arm))
            except (ArenaError, NameValidationException) as error:
                problems[arm] = str(error)
        self._show_refused(problems, wanted.generation)

    def _show_refused(self, problems: dict[str, str], generation: int) -> None:
        for arm in [arm for arm in self._refused if arm not in problems]:
            self.destroy_publisher(self._refused.pop(arm))
        for arm, problem in problems.items():
            if arm not in self._refused:
                topic = topics.on_arm(arm, topics.GUARD_STATE)
                self._refused[arm] = self.create_publisher(convert.own.GuardState, topic, qos.LATCHED)
            state = GuardState(
                arm, boot_id=self._house.boot_id, wanted_generation=generation, not_ready=(problem,)
            )
            self._refused[arm].publish(convert.to_msg(state))

    def _on_sessions(self, message: Any) -> None:
        sessions = convert.from_msg(SessionsStatus, message)
        for edge in self._edges.values():
            edge.arm.on_sessions(sessions)

    def _look(self) -> None:
        for edge in self._edges.values():
            edge.look()

    def _census(self) -> None:
        for edge in self._edges.values():
            edge.census()


def main() -> None:
    """Entry of `python -m lerobot_arena.guard.node` and of `ros2 run lerobot_arena guard_node`."""
    raise SystemExit(run_node(GuardNode))


if __name__ == "__main__":
    main()
