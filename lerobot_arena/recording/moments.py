# SPDX-License-Identifier: Apache-2.0
"""What a policy saw, or would have seen, at regular instants of a recording, and what was then executed.

Recorded messages go through a live session's own intake, sync and checks; their log times stand for its two clocks.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.core import topics as names
from lerobot_arena.core.cdr import CdrReader
from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray, JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import RUNNING, SessionsWanted, SessionWanted, TaskStatus
from lerobot_arena.core.strict import did_you_mean
from lerobot_arena.inference.joints import JointIntake
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.session import Session
from lerobot_arena.inference.sync import Miss, SyncRules
from lerobot_arena.recording import values
from lerobot_arena.recording.glance import CYCLE_TYPE
from lerobot_arena.recording.reader import Message, Recording

# A guard says something in every control period, also when it is idle.
LONGEST_GAP_NS = NS // 2
JOINT_STATE, ROOM_JOINTS = "sensor_msgs/msg/JointState", "lerobot_arena/msg/RoomJoints"


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant of one run of the arm (`epoch`): what was seen, and the target that was executed next.

    `action` is in the manifest's unit and `joint_names` order. Where the guard held, it is the target it held.
    Within one `episode` no instant is missing; a run in which something was not seen has several.
    """

    episode: int
    epoch: int
    at_ns: int
    seen: PolicyInput
    action: FloatArray


@dataclass(frozen=True, slots=True)
class View:
    """Whose eyes: a policy's manifest, the arm's robot (None for a virtual arm) and the session as it was wanted."""

    manifest: PolicyManifest
    robot: RobotSpec | None
    wanted: SessionWanted
    rules: SyncRules


def session_of(recording: Recording) -> SessionWanted | None:
    """The session that last drove the arm, as it was wanted; None when the recording does not tell."""
    found = None
    for message in recording.messages([names.WANTED]):
        wanted = values.value_of(SessionsWanted, message.value).for_arm(recording.arm)
        found = wanted or found
    return found


def successful_epochs(recording: Recording) -> set[int]:
    """Epochs in which the task's referee said that it succeeded. Raises DamagedFile."""
    status_topic = names.on_arm(recording.arm, names.TASK_STATUS)
    cycle_topic = names.on_arm(recording.arm, names.CYCLE)
    found, epoch = set(), None
    for message in recording.messages([status_topic, cycle_topic]):
        if message.type_name == CYCLE_TYPE:
            record = values.cycle_of(message.value)
            epoch = record.epoch if record.state == RUNNING else epoch
        elif epoch is not None and values.value_of(TaskStatus, message.value).is_success:
            found.add(epoch)
    return found


@dataclass
class Player:
    """Plays a recording to a view; `misses` counts the instants without an observation, by reason."""

    recording: Recording
    view: View
    misses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        manifest = self.view.manifest
        known = self.recording.cameras
        for camera in manifest.camera_names:
            if camera not in known:
                raise InvalidInput(f"The recording has no camera {camera!r}.{did_you_mean(camera, known)}")
        self._camera_of = {known[camera]: camera for camera in manifest.camera_names}
        self._clock = ManualClock(now_ns=0, wall_offset_ns=0)
        self._session = Session(self.view.wanted, clock=self._clock, publish=_ignore, on_change=_nothing)
        self._session.prepare(manifest, self.view.rules, self.view.robot)
        self._executed = JointIntake(
            manifest.joint_names, manifest.unit, robot=self.view.robot, may_have_others=True
        )
        self._epoch: int | None = None
        self._episode = self._steps = self._begin_ns = self._cycle_ns = 0
        self._waiting: list[tuple[int, int, PolicyInput]] = []
        self._target: FloatArray | None = None

    def moments(self) -> Iterator[Moment]:
        """Moments at the policy's rate, from the first command of each run to its end. Raises DamagedFile."""
        arm, virtual = self.recording.arm, self.view.wanted.is_virtual
        joints = self.view.wanted.joint_input_topic if virtual else names.on_arm(arm, names.JOINT_STATES)
        for message in self.recording.messages([joints, names.on_arm(arm, names.CYCLE), *self._camera_of]):
            self._catch_up(message.log_time)
            self._clock.now_ns = message.log_time
            if message.type_name == CYCLE_TYPE:
                yield from self._on_cycle(values.cycle_of(message.value), message.log_time)
            elif message.topic in self._camera_of:
                self._on_picture(message)
            elif message.type_name == JOINT_STATE:
                self._session.take_joints(values.joints_of(message.value, message.log_time))
            elif message.type_name == ROOM_JOINTS:
                self._session.take_joints(values.room_joints_of(message.value, message.log_time))

    @property
    def _due_ns(self) -> int:
        return self._begin_ns + round(self._steps * NS / self.view.manifest.fps)

    def _catch_up(self, now_ns: int) -> None:
        """Look at every instant that lies before the next message, as long as cycles come."""
        until_ns = min(now_ns, self._cycle_ns + LONGEST_GAP_NS)
        while self._epoch is not None and (at_ns := self._due_ns) < until_ns:
            self._steps += 1
            seen = self._session.assemble(at_ns)
            if isinstance(seen, Miss):
                self.misses[seen.reason] += 1
                self._episode += 1
            else:
                self._waiting.append((self._episode, at_ns, seen[0][-1]))

    def _on_cycle(self, record: CycleRecord, log_ns: int) -> Iterator[Moment]:
        is_gap = log_ns - self._cycle_ns > LONGEST_GAP_NS
        self._cycle_ns = log_ns
        if record.state != RUNNING or record.epoch != self._epoch or is_gap:
            self._waiting.clear()
            self._target = None
            self._epoch = record.epoch if record.state == RUNNING else None
            self._begin_ns, self._steps = log_ns, 0
            self._episode += 1
        if self._epoch is None:
            return
        if record.executed:
            self._target = self._in_policys_unit(record, log_ns)
        if self._target is not None:
            for episode, at_ns, seen in self._waiting:
                yield Moment(episode, self._epoch, at_ns, seen, self._target)
        self._waiting.clear()

    def _in_policys_unit(self, record: CycleRecord, log_ns: int) -> FloatArray:
        sample = JointSample(
            record.joint_names, values.np.array(record.executed), record.unit, record.stamp_ns, log_ns
        )
        state = self._executed.take(sample)
        if state is None:
            raise InvalidInput(f"The policy moves joints that were not: {', '.join(self._executed.missing)}.")
        return state.values

    def _on_picture(self, message: Message) -> None:
        camera = self._camera_of[message.topic]
        reader = CdrReader(message.data)
        stamp_ns = reader.number("i", 4) * NS + reader.number("I", 4)
        self._session.take_frame(
            camera,
            stamp_ns,
            message.log_time,
            lambda: values.frame_of(message.value, camera, message.log_time).image,
        )


def _ignore(_chunk: Any) -> None:
    """Nobody answers here."""


def _nothing() -> None:
    """Nobody watches the status here."""
