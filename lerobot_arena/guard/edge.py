# SPDX-License-Identifier: Apache-2.0
"""The topics and services of one guarded arm. Callbacks convert, call, convert."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rclpy.exceptions import NameValidationException

from lerobot_arena.core import topics
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.cycle import (
    LAYERS,
    ChunkRequest,
    ContextEvent,
    CycleRecord,
    JointCommand,
    action_of,
    layers_of,
    observation_of,
)
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.core.reaction import ENFORCE
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.room import GUARD_SOURCE
from lerobot_arena.core.session import RUNNING, EmbodimentStatus, SessionsWanted
from lerobot_arena.guard.arm import Answer, GuardedArm
from lerobot_arena.guard.belongings import Belongings
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.knowledge import ArmModel, Knowledge
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.pacing import Pacer
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.predecessors import Legacy, foreign_publishers
from lerobot_arena.guard.sink_call import SinkCall
from lerobot_arena.ros import convert, qos

_OK, _WARN, _ERROR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Household:
    """What the arms of one process share."""

    params: GuardParams
    robot: RobotSpec
    epochs: Iterator[int]
    boot_id: str
    own_publishers: str
    legacy: Legacy
    shipped: GuardConfig
    model: ArmModel


class ArmEdge:
    """The topics and services of one guarded arm; implements guard/ports.py."""

    def __init__(self, node: Any, arm: str, house: Household, *, is_virtual: bool) -> None:
        self._node, self._house, self._is_virtual = node, house, is_virtual
        self._own, self._rooms = Belongings(node), Belongings(node)
        self._state_lock = threading.Lock()
        self._output: Any = None
        self._room_topics = ("", "")
        self._output_sequence = 0
        self._sink_call: SinkCall | None = None
        self._pacer: Pacer | None = None
        knowledge = Knowledge(arm, house.params, house.robot, is_virtual=is_virtual, model=house.model)
        self.arm = GuardedArm(
            knowledge,
            house.params,
            self,
            epochs=house.epochs,
            boot_id=house.boot_id,
            clock=SystemClock(),
            shipped=house.shipped,
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
        self._observation = make(own.GuardObservation, name(topics.GUARD_OBSERVATION), qos.STREAM)
        self._action = make(own.GuardAction, name(topics.GUARD_ACTION), qos.STREAM)
        self._layers = {
            layer: make(own.GuardLayer, name(f"{topics.GUARD_LAYERS}/{layer}"), qos.STREAM)
            for layer in LAYERS
        }
        self._events = make(own.ContextEvent, name(topics.CONTEXT_EVENTS), qos.EVENT)
        self._diagnostics = make(convert.DiagnosticArray, topics.DIAGNOSTICS, qos.EVENT)
        self._state = make(own.GuardState, name(topics.GUARD_STATE), qos.LATCHED)

    def _subscribe(self) -> None:
        own, listen, name = convert.own, self._own.subscription, self._name
        listen(own.ActionChunk, name(topics.ACTION_CHUNK), self._on_chunk, qos.STREAM)
        listen(convert.Empty, name(topics.ESTOP), lambda _: self.arm.estop("topic"), qos.STREAM)
        listen(convert.Empty, name(topics.RESET), lambda _: self.arm.reset(), qos.STREAM)
        if not self._is_virtual:
            listen(convert.JointState, name(topics.JOINT_STATES), self._on_joint_state, qos.SENSOR)
            listen(own.EmbodimentStatus, name(topics.EMBODIMENT_STATUS), self._on_embodiment, qos.LATCHED)
            listen(own.HardwareReading, name(topics.HARDWARE), self._on_hardware, qos.STREAM)

    def _serve(self) -> None:
        verbs: dict[str, Callable[[], Answer]] = {
            topics.START: self._start,
            topics.PAUSE: self.arm.pause,
            topics.RESUME: self._resume,
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

    def _on_hardware(self, message: Any) -> None:
        self.arm.on_hardware(convert.from_msg(HardwareReading, message))

    def on_config(self, config: GuardConfig) -> None:
        self.arm.on_config(config)

    def on_wanted(self, wanted: SessionsWanted) -> None:
        self.arm.on_wanted(wanted)
        self._follow_session()
        self.state_changed()

    def _start(self) -> Answer:
        self._follow_session()
        self.census()
        return self.arm.start()

    def _resume(self) -> Answer:
        self.census()
        return self.arm.resume()

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
                command.joint_names,
                np.array(values),
                unit,
                self._output_sequence,
                command.stamp_ns,
                source=GUARD_SOURCE,
            )
        )

    def request_chunk(self, request: ChunkRequest) -> None:
        self._request.publish(convert.to_msg(request))

    def publish_cycle(self, record: CycleRecord) -> None:
        self._cycle.publish(convert.cycle_to_msg(record))
        # Mostly nobody listens, and each costs the control thread as much as the cycle itself.
        if self._observation.get_subscription_count():
            self._observation.publish(convert.to_msg(observation_of(record)))
        if self._action.get_subscription_count():
            self._action.publish(convert.to_msg(action_of(record)))
        heard = {name for name, publisher in self._layers.items() if publisher.get_subscription_count()}
        for layer in layers_of(record) if heard else ():
            if layer.layer in heard:
                self._layers[layer.layer].publish(convert.to_msg(layer))

    def publish_event(self, event: ContextEvent) -> None:
        self._events.publish(convert.to_msg(event))

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
        self.arm.refresh()
        self.state_changed()

    def diagnose(self) -> None:
        """Every second, for whoever watches /diagnostics."""
        state = self.arm.state()
        level, text = _OK, state.state
        if state.estop_latched:
            level, text = _ERROR, state.message
        elif state.enforcement != ENFORCE:
            level, text = (
                _ERROR,
                f"The guard does not keep this arm safe: enforcement is {state.enforcement}.",
            )
        elif state.config_problem:
            level, text = _WARN, state.config_problem
        elif state.reaction:
            level, text = _WARN, f"{state.state}: {state.reaction}"
        elif state.state != RUNNING and state.message:
            level, text = _WARN, state.message
        values = {
            "state": state.state,
            "session": state.session_id,
            "task": state.task,
            "boundaries": ", ".join(state.active_boundaries),
            "config version": str(state.config_version),
            "enforcement": state.enforcement,
            "risk": state.risk.name,
            "cycles": str(state.cycle_count),
            "late cycles": str(state.late_cycles),
            "holds": str(state.holds),
            "not ready": " ".join(state.not_ready),
        }
        self._diagnostics.publish(
            convert.diagnostics_to_msg(
                f"guard: {state.arm}",
                self._house.robot.name,
                level=level,
                message=text,
                values=list(values.items()),
                stamp_ns=time.time_ns(),
            )
        )

    def census(self) -> None:
        """Who else publishes what only this guard may."""
        topic = self._name(topics.COMMAND)
        if self._is_virtual:
            topic = "" if self.arm.knowledge.unusable_rooms else self._room_topics[1]
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
        period_s = partial(getattr, self.arm, "period_s")
        self._pacer = Pacer(self.arm.tick, period_s=period_s, name=name, on_death=self.arm.fail)
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
