# SPDX-License-Identifier: Apache-2.0
"""A guarded arm with its world in memory: a clock that is moved, an arm that follows at once, a scripted policy.

The guard in it is the real one, from the chunk queue to the latch; what is replaced are the processes around it.
`arena guard verify` and the tests drive it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.cycle import ChunkRequest, ContextEvent, CycleRecord, JointCommand
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, RunWanted, TaskWanted
from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.observation import FloatArray, JointSample
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import (
    READY,
    EmbodimentStatus,
    SessionsStatus,
    SessionStatus,
    SessionsWanted,
    SessionWanted,
)
from lerobot_arena.guard.arm import GuardedArm
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.knowledge import ArmModel, Knowledge
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams

Policy = Callable[[Sequence[float]], FloatArray]
_STEPS_TO_FIRST_COMMAND = 200
# A busy machine may suspend this process in a check; time here is the manual clock's.
_PATIENT_BUDGET_MS = 1000.0


def hold_still(measured: Sequence[float]) -> FloatArray:
    """A policy that wants to stay: 30 steps."""
    return np.tile(np.array(measured, dtype=np.float64), (30, 1))


@dataclass
class WrittenPorts:
    """The ports of an arm, written down in order."""

    commands: list[JointCommand] = field(default_factory=list)
    executed: list[tuple[float, ...]] = field(default_factory=list)
    requests: list[ChunkRequest] = field(default_factory=list)
    cycles: list[CycleRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sink_calls: list[str] = field(default_factory=list)
    events: list[ContextEvent] = field(default_factory=list)
    changes: int = 0
    sink_error: Exception | None = None

    def send(self, command: JointCommand, space: JointSpace) -> None:
        self.commands.append(command)

    def show_executed(self, command: JointCommand, space: JointSpace, unit: str) -> None:
        self.executed.append(space.in_unit(command.positions, unit))

    def request_chunk(self, request: ChunkRequest) -> None:
        self.requests.append(request)

    def publish_cycle(self, record: CycleRecord) -> None:
        self.cycles.append(record)

    def publish_event(self, event: ContextEvent) -> None:
        self.events.append(event)

    def state_changed(self) -> None:
        self.changes += 1

    def emergency_stop(self) -> None:
        self.sink_calls.append("emergency_stop")
        if self.sink_error is not None:
            raise self.sink_error

    def clear_emergency(self) -> None:
        self.sink_calls.append("clear_emergency")

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def plain_config(version: int = 0, *boundaries: Boundary) -> GuardConfig:
    """A task `default` under these boundaries; by default one that any arm fits."""
    chosen = boundaries or (Boundary("speed", (Node("velocity"),)),)
    names = [boundary.name for boundary in chosen]
    task = {"name": "default", "boundaries": names, "virtual_boundaries": names}
    return GuardConfig(
        version,
        tuple(BoundaryWanted(b.name, 1, json.dumps(b.mapping())) for b in chosen),
        (TaskWanted("default", json.dumps(task)),),
    )


class GuardWorld:
    """One arm (an SO-101), its guard, and everything the guard hears.

    `policy` maps measured joints to H×D actions, both in `unit`; a request is answered `latency_s` after it was made.
    Set `is_inference_alive`, `is_policy_alive` or `are_joints_alive` to False for silence, `is_following` to False for
    an arm that is blocked, `edit_chunk` to tamper with chunks. What is set of `embodiment`, `hardware` and `host` is
    said in every period, and `scores` with every chunk.
    """

    def __init__(
        self,
        *,
        params: GuardParams | None = None,
        policy: Policy = hold_still,
        measured: Sequence[float] = (),
        is_virtual: bool = False,
        unit: str = "radians",
        robot: RobotSpec | None = None,
        are_joints_alive: bool = True,
        config: GuardConfig | None = None,
        model: ArmModel | None = None,
        clock: ManualClock | None = None,
        boot_id: str = "boot",
        first_epoch: int = 1000,
        check_budget_ms: float = _PATIENT_BUDGET_MS,
        embodiment: EmbodimentStatus | None = None,
        hardware: HardwareReading | None = None,
        host: HostHealth | None = None,
        scores: tuple[Score, ...] = (),
    ) -> None:
        self.robot = robot or load_robot("so101")
        self.clock = clock or ManualClock()
        self.ports = WrittenPorts()
        self.policy, self.unit = policy, unit
        self.measured = list(measured or (0.0,) * len(self.robot.joints))
        self.latency_s, self.chunk_dt_s, self.execute_steps = 0.0, 1 / 30, 10
        self.is_inference_alive, self.are_joints_alive = True, are_joints_alive
        self.is_policy_alive = self.is_following = True
        self.embodiment, self.hardware, self.host, self.scores = embodiment, hardware, host, scores
        self.edit_chunk: Callable[[ActionChunk], ActionChunk] = lambda chunk: chunk
        arm = "virtual/demo" if is_virtual else "arm"
        self.joint_unit = unit if is_virtual else "radians"
        params = replace(params or GuardParams(), check_budget_ms=check_budget_ms)
        knowledge = Knowledge(arm, params, self.robot, is_virtual=is_virtual, model=model)
        self.arm = GuardedArm(
            knowledge,
            params,
            self.ports,
            epochs=count(first_epoch),
            boot_id=boot_id,
            clock=self.clock,
            shipped=config or plain_config(),
        )
        names = self.robot.joint_names
        self.status = SessionStatus("demo", status=READY, is_loaded=True, joint_names=names, unit=unit)
        self.inference_boot_id = "inference-1"
        self._chunks = self._answered = self._late_in_row = 0
        self._cooking: list[tuple[int, int, ActionChunk]] = []
        self._session = SessionWanted(
            "demo", arm, "demo", is_virtual=is_virtual, joint_output_topic="/rooms/out"
        )
        self.want()
        self.report()
        if are_joints_alive:
            self.say_joints()
        self.say_health()

    def want(self, **run: Any) -> None:
        """The session exists, and its next start is meant like this (fields of RunWanted)."""
        self.arm.on_wanted(SessionsWanted(1, (self._session,), (RunWanted(self._session.arm, **run),)))

    def report(self) -> None:
        """Inference says what it holds."""
        self.arm.on_sessions(SessionsStatus(1, self.inference_boot_id, (self.status,)))

    def change_status(self, **values: Any) -> None:
        """Inference says something new of the session."""
        self.status = replace(self.status, **values)
        self.report()

    def say_joints(self, values: Sequence[float] | None = None, names: Sequence[str] | None = None) -> None:
        """A joint message arrives now; by default the whole measured state."""
        now = np.array(self.measured if values is None else values, dtype=np.float64)
        self.arm.on_joints(
            JointSample(
                tuple(names or self.robot.joint_names),
                now,
                self.joint_unit,
                self.clock.wall_ns(),
                self.clock.steady_ns(),
            )
        )

    def say_health(self) -> None:
        """What is known of embodiment, hardware and host, said now."""
        if self.embodiment is not None:
            self.arm.on_embodiment(self.embodiment)
        if self.hardware is not None:
            self.arm.on_hardware(self.hardware)
        if self.host is not None:
            self.arm.on_host(self.host, self.clock.steady_ns())

    def make_chunk(self, request: ChunkRequest, **values: Any) -> ActionChunk:
        """What the policy answers to `request`, seen now."""
        self._chunks += 1
        chunk = ActionChunk(
            self.policy(tuple(self.measured)),
            self.robot.joint_names,
            self.unit,
            self.chunk_dt_s,
            session_id=request.session_id,
            epoch=request.epoch,
            request_sequence=request.sequence,
            sequence=self._chunks,
            execute_steps=self.execute_steps,
            scores=self.scores,
        )
        return replace(chunk, **values)

    def _infer(self) -> None:
        now_ns = self.clock.now_ns
        for request in self.ports.requests[self._answered :]:
            self._answered += 1
            if self.is_inference_alive and self.is_policy_alive:
                ready_ns = now_ns + round(self.latency_s * 1e9)
                self._cooking.append((ready_ns, now_ns, self.make_chunk(request)))
        ready = [item for item in self._cooking if item[0] <= now_ns]
        self._cooking = [item for item in self._cooking if item[0] > now_ns]
        for _, seen_ns, chunk in ready:
            if self.is_inference_alive and self.is_policy_alive:
                aged = replace(chunk, observation_age_s=(now_ns - seen_ns) / 1e9)
                self.arm.on_chunk(self.edit_chunk(aged))

    def step(self, cycles: int = 1, *, period_s: float | None = None) -> CycleRecord:
        """Let control periods pass, or one other stretch of time each; returns the last cycle's record."""
        for _ in range(cycles):
            passed_s = period_s if period_s is not None else self.arm.period_s
            self.clock.advance(passed_s)
            if self.are_joints_alive:
                self.say_joints()
            self.say_health()
            if self.is_inference_alive:
                self.report()
            is_late = passed_s > 2 * self.arm.period_s
            self._late_in_row = self._late_in_row + 1 if is_late else 0
            sent = len(self.ports.commands)
            self.arm.tick(Tick(self.clock.now_ns, is_late, self._late_in_row))
            if len(self.ports.commands) > sent and self.is_following:
                self.measured = list(self.ports.commands[-1].positions)
            self._infer()
        return self.ports.cycles[-1]

    def start(self) -> None:
        """Start, and go on until commands flow. Raises ValueError when they do not."""
        answer = self.arm.start()
        before = len(self.ports.commands)
        for _ in range(_STEPS_TO_FIRST_COMMAND):
            self.step()
            if len(self.ports.commands) > before + 1:
                return
        raise ValueError(f"Nothing moved: {answer.message} {self.arm.state().message}")

    @property
    def state(self) -> str:
        return self.arm.state().state

    @property
    def commands(self) -> list[JointCommand]:
        return self.ports.commands
