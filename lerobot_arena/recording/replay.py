# SPDX-License-Identifier: Apache-2.0
"""A recording run through today's guard, in memory and as fast as it goes: what would it have done otherwise?

The real guard, from its checks to its latch, is started and stopped as it was, and gets in each cycle what it got then:
measured joints, the action that was due, scores, chunks and health. Neither arm nor policy is simulated: they stay as
recorded, so after the first difference of a run the rest of that run is an indication, not a prediction.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lerobot_arena.core import topics as names
from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.hardware import HardwareReading, Score
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import PAUSED, RUNNING, EmbodimentStatus
from lerobot_arena.core.units import RADIANS
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.chunk_queue import Proposal
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.verify.subject import HEALTHY_ARM, HEALTHY_HOST, model_of
from lerobot_arena.guard.verify.world import GuardWorld
from lerobot_arena.recording import values
from lerobot_arena.recording.glance import CYCLE_TYPE
from lerobot_arena.recording.reader import Message, Recording

TOLERANCE_RAD = 1e-4
MOST_SHOWN = 200
_NOT_RUNNING = "not running"


@dataclass(frozen=True, slots=True)
class Difference:
    """A recorded cycle that would be another one today; `now_…` say what it would be, and why."""

    cycle_id: int
    was: str
    was_reason: str
    now: str
    now_reason: str
    distance_rad: float = 0.0


@dataclass
class Report:
    """What a replay found. `new` and `gone` count objections by check; `differences` are the first ones.

    `refused` says why runs could not be started, `stopped` why they would have ended early.
    """

    cycles: int = 0
    runs: int = 0
    same: int = 0
    other_decision: int = 0
    other_command: int = 0
    not_run: int = 0
    new: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def replay(
    recording: Recording,
    *,
    robot: RobotSpec,
    params: GuardParams,
    config: GuardConfig,
    on_cycle: Callable[[int], None] = lambda _: None,
) -> Report:
    """Replay every run. Raises NotFound without a cycle that ran, InvalidInput for a virtual arm, DamagedFile."""
    replayer = _Replayer(recording, robot, params, config)
    for count, record in enumerate(replayer.cycles()):
        replayer.take(record)
        on_cycle(count)
    if replayer.report.cycles == 0:
        raise NotFound("Nothing ran in this recording.")
    return replayer.report


class _Replayer:
    def __init__(
        self, recording: Recording, robot: RobotSpec, params: GuardParams, config: GuardConfig
    ) -> None:
        self.recording, self.report = recording, Report()
        self._clock = ManualClock(now_ns=0, wall_offset_ns=0)
        chunk = next(recording.chunks(), None)
        self.world = GuardWorld(
            params=params,
            robot=robot,
            config=config,
            model=model_of(robot),
            clock=self._clock,
            unit=chunk.unit if chunk is not None else RADIANS,
            are_joints_alive=False,
            boot_id="replay",
            check_budget_ms=params.check_budget_ms * 100,
        )
        if chunk is not None:
            self.world.change_status(joint_names=chunk.joint_names)
        on_arm = {name: names.on_arm(recording.arm, name) for name in _HEARD}
        self._hear = {topic: getattr(self, _HEARD[name]) for name, topic in on_arm.items()}
        self._tells_embodiment = on_arm[names.EMBODIMENT_STATUS] in recording.topics
        self._ahead_ns = 0
        self._waiting: list[Message] = []
        self._state, self._epoch = "", -1
        self._late_in_row = self._chunks = 0

    def cycles(self) -> Iterator[CycleRecord]:
        """Cycles in order, each after what was heard before its tick."""
        topics = [*self._hear, names.on_arm(self.recording.arm, names.CYCLE)]
        for message in self.recording.messages(topics):
            if message.type_name != CYCLE_TYPE:
                self._waiting.append(message)
                continue
            record = values.cycle_of(message.value)
            if record.joint_names and record.unit != RADIANS:
                raise InvalidInput(
                    "Only recordings of real or simulated arms are replayed, not of virtual ones."
                )
            # Log times are the wall's; what the guard goes by is its steady clock.
            self._ahead_ns = record.steady_ns - record.stamp_ns
            due = [item for item in self._waiting if item.log_time + self._ahead_ns <= record.steady_ns]
            self._waiting = self._waiting[len(due) :]
            for item in due:
                self._clock.now_ns = item.log_time + self._ahead_ns
                self._hear[item.topic](item)
            self._clock.now_ns = record.steady_ns
            yield record

    def take(self, record: CycleRecord) -> None:
        """Bring the guard into the recorded state, let it tick, and compare."""
        arm = self.world.arm
        arm.on_host(HEALTHY_HOST, self._clock.now_ns)
        self._hear_joints(record)
        if not self._tells_embodiment:
            arm.on_embodiment(HEALTHY_ARM)
        self.world.report()
        self._follow(record)
        self._late_in_row = self._late_in_row + 1 if record.late else 0
        before = len(self.world.ports.cycles)
        was_running = arm.is_running
        self._give(record)
        arm.tick(Tick(record.steady_ns, record.late, self._late_in_row))
        made = self.world.ports.cycles[before:]
        if record.state == RUNNING:
            self._compare(record, made[-1] if made and was_running else None)
            if was_running and not arm.is_running:
                self.report.stopped[arm.state().message] += 1
        self._forget()

    def _give(self, record: CycleRecord) -> None:
        """What the guard went by in this cycle: joints with their age, and the action that was due."""
        run = self.world.arm.run
        if run is None:
            return
        queue: Any = run.loop.parts.queue
        if not isinstance(queue, _AsRecorded):
            queue = _AsRecorded(queue)
            run.loop.parts.queue = queue
        queue.record = record

    def _hear_joints(self, record: CycleRecord) -> None:
        if record.measured:
            heard_ns = record.steady_ns - round(max(0.0, record.joint_age_s) * NS)
            measured = values.np.array(record.measured)
            sample = JointSample(record.joint_names, measured, record.unit, record.stamp_ns, heard_ns)
            self.world.arm.on_joints(sample)

    def _follow(self, record: CycleRecord) -> None:
        arm, is_new = self.world.arm, record.epoch != self._epoch
        if record.state == RUNNING and (self._state != RUNNING or is_new):
            if self._state == PAUSED:
                answer = arm.resume()
            else:
                arm.stop()
                arm.reset()
                self.world.want(task=record.task, cycle_budget_ms=record.deadline_ms)
                answer = arm.start()
                self.report.runs += 1
            if not answer.success:
                self.report.refused[answer.message] += 1
        elif record.state == PAUSED and self._state == RUNNING:
            arm.pause()
        elif record.state not in {RUNNING, PAUSED} and self._state in {RUNNING, PAUSED}:
            arm.stop()
        self._state, self._epoch = record.state, record.epoch

    def _compare(self, was: CycleRecord, now: CycleRecord | None) -> None:
        report = self.report
        report.cycles += 1
        if now is None:
            report.not_run += 1
            self._show(Difference(was.cycle_id, was.decision.name, was.reason, _NOT_RUNNING, ""))
            return
        old, new = _objections(was), _objections(now)
        report.new.update(new - old)
        report.gone.update(old - new)
        distance = _distance(was, now)
        if was.decision != now.decision:
            report.other_decision += 1
        elif distance > TOLERANCE_RAD:
            report.other_command += 1
        else:
            report.same += 1
            return
        names_of = was.decision.name, was.reason, now.decision.name, now.reason
        self._show(Difference(was.cycle_id, *names_of, distance_rad=min(distance, 99.0)))

    def _show(self, difference: Difference) -> None:
        if len(self.report.differences) < MOST_SHOWN:
            self.report.differences.append(difference)

    def _forget(self) -> None:
        """What the world writes down, but for the latest: recordings are long."""
        ports = self.world.ports
        for written in (
            ports.cycles,
            ports.commands,
            ports.executed,
            ports.requests,
            ports.events,
            ports.warnings,
        ):
            del written[:-2]

    def _on_chunk(self, message: Message) -> None:
        requests = self.world.ports.requests
        if not requests:
            return
        asked, self._chunks = requests[-1], self._chunks + 1
        self.world.arm.on_chunk(
            replace(
                values.chunk_of(message.value),
                session_id=asked.session_id,
                epoch=asked.epoch,
                request_sequence=asked.sequence,
                sequence=self._chunks,
            )
        )

    def _on_hardware(self, message: Message) -> None:
        self.world.arm.on_hardware(values.value_of(HardwareReading, message.value))

    def _on_embodiment(self, message: Message) -> None:
        status = values.value_of(EmbodimentStatus, message.value)
        # A recorded e-stop ends the recorded run by itself; here it would latch what follows.
        self.world.arm.on_embodiment(replace(status, is_stopped=False))


_HEARD = {
    names.ACTION_CHUNK: "_on_chunk",
    names.HARDWARE: "_on_hardware",
    names.EMBODIMENT_STATUS: "_on_embodiment",
}


class _AsRecorded:
    """A run's queue, but what is due, and what is known of its observation, is what was recorded."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self.record: CycleRecord | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def due(self, now_ns: int) -> Proposal:
        record = self.record
        if record is None or not record.proposed:
            return Proposal(None)
        return Proposal(record.proposed, record.action_age_s, record.queue_steps)

    @property
    def scores(self) -> dict[str, Score]:
        return {score.name: score for score in self.record.scores} if self.record else {}

    def scores_age_s(self, now_ns: int) -> float:
        return self.record.scores_age_s if self.record else -1.0


def _objections(record: CycleRecord) -> set[str]:
    return {f"{v.check} {v.decision.name}" for v in record.verdicts if v.decision > Decision.PASS}


def _distance(was: CycleRecord, now: CycleRecord) -> float:
    if bool(was.executed) != bool(now.executed):
        return float("inf")
    then = dict(zip(was.joint_names, was.executed))
    return max(
        (abs(then[n] - value) for n, value in zip(now.joint_names, now.executed) if n in then), default=0.0
    )
