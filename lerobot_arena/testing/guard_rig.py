# SPDX-License-Identifier: Apache-2.0
"""The guard as a real process over real DDS, and one that stands in for everybody around it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import ChunkRequest, CycleRecord, JointCommand
from lerobot_arena.core.observation import FloatArray, JointSample
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import (
    READY,
    GuardState,
    SessionsStatus,
    SessionStatus,
    SessionsWanted,
    SessionWanted,
)
from lerobot_arena.testing import bench
from lerobot_arena.testing.probe import Probe, published_at

ROBOT = load_robot("so101")
NAMES = ROBOT.joint_names
ACTION_TIMEOUT_S = 1.0
PERIOD_S = 0.02
# What a busy two-core machine and this process's own thread may add; the rules themselves are tested in cycles.
MARGIN_S = 0.4
ROOM_IN, ROOM_OUT = "/rooms/w/demoZ2djointZ2dinput", "/rooms/w/demoZ2djointZ2doutput"


def wait_until(what: str, done: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Poll `done` until it is true and return it. Raises AssertionError naming `what` after `timeout_s`."""
    return bench.wait_until(what, done, timeout_s)


class StandIn(Probe):
    """Speaks for everybody around the guard. Instants are this process's steady clock."""

    def __init__(self, *, is_virtual: bool = False) -> None:
        from lerobot_arena.ros import convert, qos

        super().__init__("stand_in")
        self.convert, self.qos = convert, qos
        self.is_virtual = is_virtual
        self.arm = "virtual/demo" if is_virtual else "arm"
        self.unit = "normalized"
        self.measured: FloatArray = np.zeros(6)
        self.speed = 0.0
        self.is_answering = self.are_joints_alive = True
        self.commands: list[tuple[float, JointCommand]] = []
        self.outputs: list[tuple[float, JointSample]] = []
        self.states: list[GuardState] = []
        self.cycles: list[tuple[float, CycleRecord]] = []
        self.requests: list[ChunkRequest] = []
        self.emergencies = 0
        self._chunks = 0
        self._talk()
        self._listen()
        self.start()

    def _name(self, name: str) -> str:
        return f"/{self.arm}/{name}"

    def _talk(self) -> None:
        own, publisher, qos = self.convert.own, self.node.create_publisher, self.qos
        self._chunk = publisher(own.ActionChunk, self._name("action_chunk"), qos.STREAM)
        self._sessions = publisher(own.SessionsStatus, "/arena/sessions", qos.LATCHED)
        self._wanted = publisher(own.SessionsWanted, "/arena/wanted", qos.LATCHED)
        if self.is_virtual:
            self._joints = publisher(own.RoomJoints, ROOM_IN, qos.STREAM)
        else:
            self._joints = publisher(self.convert.JointState, self._name("joint_states"), qos.SENSOR)
            self.node.create_service(
                self.convert.Trigger, self._name("embodiment/emergency_stop"), self._on_emergency
            )
        self.node.create_timer(0.02, self.say_joints)
        self.node.create_timer(0.25, self.report)

    def _listen(self) -> None:
        own, listen, qos, read = (
            self.convert.own,
            self.node.create_subscription,
            self.qos,
            self.convert.from_msg,
        )

        def keep(into: list[Any], value_type: type) -> Callable[[Any], None]:
            return lambda message: into.append((time.monotonic(), read(value_type, message)))

        listen(own.JointCommand, "/arm/command", self._on_command, qos.STREAM)
        listen(own.Cycle, self._name("dam/cycle"), keep(self.cycles, CycleRecord), qos.STREAM)
        listen(
            own.GuardState,
            self._name("guard/state"),
            lambda message: self.states.append(read(GuardState, message)),
            qos.LATCHED,
        )
        listen(own.ChunkRequest, self._name("chunk_request"), self._on_request, qos.STREAM)
        listen(own.RoomJoints, ROOM_OUT, self._on_output, qos.STREAM)
        self.verbs = {
            verb: self.node.create_client(self.convert.Trigger, self._name(f"guard/{verb}"))
            for verb in ("start", "stop", "estop", "reset", "clear_queue")
        }
        self.estop_topic = self.node.create_publisher(
            self.convert.Empty, self._name("guard/estop"), qos.STREAM
        )

    def say_joints(self) -> None:
        if not self.are_joints_alive:
            return
        stamp = time.time_ns()
        if self.is_virtual:
            self._joints.publish(self.convert.joints_to_room(NAMES, self.measured, self.unit, 1, stamp))
        else:
            self._joints.publish(
                self.convert.joints_to_state(JointSample(NAMES, self.measured, "radians", stamp, 0))
            )

    def report(self) -> None:
        status = SessionStatus("demo", status=READY, is_loaded=True, joint_names=NAMES, unit=self.unit)
        self._sessions.publish(self.convert.to_msg(SessionsStatus(1, "boot", (status,))))

    def session(self, **changes: Any) -> SessionWanted:
        wanted = SessionWanted(
            "demo", self.arm, "demo", is_virtual=self.is_virtual, is_selected=True,
            joint_input_topic=ROOM_IN if self.is_virtual else "/arm/joint_states", joint_output_topic=ROOM_OUT,
        )  # fmt: skip
        return replace(wanted, **changes)

    def want(self, *sessions: SessionWanted, generation: int = 1) -> None:
        wanted = SessionsWanted(generation, sessions or (self.session(),))
        self._wanted.publish(self.convert.to_msg(wanted))

    def _on_command(self, message: Any) -> None:
        command = self.convert.command_from_msg(message)
        self.commands.append((published_at(command.stamp_ns), command))
        self.measured = np.array(command.positions)

    def _on_output(self, message: Any) -> None:
        sample = self.convert.joints_from_room(message, time.monotonic_ns())
        self.outputs.append((published_at(sample.stamp_ns), sample))
        if self.is_virtual:
            self.measured = sample.values

    def _on_request(self, message: Any) -> None:
        request = self.convert.from_msg(ChunkRequest, message)
        self.requests.append(request)
        if not self.is_answering:
            return
        self._chunks += 1
        begin = self.measured if self.is_virtual else ROBOT.from_radians(self.measured, self.unit)
        actions = begin + np.arange(40)[:, None] / 30 * self.speed * np.array([1, 1, 0, 0, 0, 0])
        chunk = ActionChunk(
            actions,
            NAMES,
            self.unit,
            1 / 30,
            "demo",
            request.epoch,
            request.sequence,
            self._chunks,
            execute_steps=10,
        )
        self._chunk.publish(self.convert.chunk_to_msg(chunk))

    def _on_emergency(self, request: Any, response: Any) -> Any:
        self.emergencies += 1
        response.success, response.message = True, "torque kept, target kept"
        return response

    def call(self, verb: str) -> tuple[bool, str, float]:
        """(success, message, instant of the answer)."""
        client = self.verbs[verb]
        assert client.wait_for_service(60.0), f"nobody serves {verb}"
        done = threading.Event()
        answer: list[Any] = []

        def on_answer(future: Any) -> None:
            answer.append((future.result(), time.monotonic()))
            done.set()

        client.call_async(self.convert.Trigger.Request()).add_done_callback(on_answer)
        assert done.wait(30.0), f"{verb} did not answer"
        response, instant = answer[0]
        return response.success, response.message, instant

    @property
    def state(self) -> GuardState | None:
        return self.states[-1] if self.states else None

    def moved(self) -> list[float]:
        """When each thing that moves an arm was published."""
        return [instant for instant, _ in (self.outputs if self.is_virtual else self.commands)]

    def moved_since(self, instant: float) -> int:
        return sum(when > instant for when in self.moved())

    def run(self) -> None:
        """Ready, started, moving."""
        wait_until("ready", lambda: self.state and not self.state.not_ready and self.state.session_id)
        success, message, instant = self.call("start")
        assert success, message
        wait_until("commands", lambda: self.moved_since(instant) > 10)


class GuardProcess:
    """One `python -m lerobot_arena.guard.node`."""

    def __init__(self, namespace: str, log: Path, *params: str) -> None:
        options = [part for param in params for part in ("-p", param)]
        command = [
            sys.executable,
            "-P",
            "-m",
            "lerobot_arena.guard.node",
            "--ros-args",
            "-r",
            f"__ns:=/{namespace}",
        ]
        # The machine is busy with other tests: a suspended process must not look like a slow check.
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, *options, "-p", "check_budget_ms:=500.0"],
                env=dict(os.environ),
                stdout=out,
                stderr=out,
            )

    def waited_for_a_core_s(self) -> float:
        """How long its main thread could have run and had no core: other tests' share of the wall time."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    def end(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
