# SPDX-License-Identifier: Apache-2.0
"""A robotics room: joint values of one producer, merged by name, on their way to every consumer and to ROS. Pure.

Every joint of an update goes out, also one that did not change: a robot that holds still is not a dead one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lerobot_arena.core.chunk import MAX_JOINTS
from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput
from lerobot_arena.core.room import API_SOURCE, ROBOTICS, RoomJoints
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.rooms import messages
from lerobot_arena.rooms.free_joints import FreeJoints, extras
from lerobot_arena.rooms.joint_payload import Joints, JointVocabulary, parse_joints
from lerobot_arena.rooms.mailbox import JointNews, with_text
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.refusals import refuse
from lerobot_arena.rooms.room import DEFAULT_CONSUMERS, Place, Room, Tie
from lerobot_arena.rooms.wire import JointsSaid

ROS_SOURCE = "ros"
DEFAULT_MAX_AGE_S = 0.5


@dataclass(frozen=True, slots=True)
class RoboticsSettings:
    """How a robotics room was made. `unit` and `joint_names` empty: any joint within ±360."""

    max_consumers: int = DEFAULT_CONSUMERS
    max_age_s: float = DEFAULT_MAX_AGE_S
    takeover_s: float = 10.0
    unit: str = ""
    joint_names: tuple[str, ...] = ()
    name: str = ""
    robot_type: str = "so-arm100"

    def joints(self) -> Joints:
        """What clients may say."""
        if self.unit or self.joint_names:
            return JointVocabulary(self.joint_names, self.unit or NORMALIZED)
        return FreeJoints()


class RoboticsRoom(Room):
    """`joints` says which there are now; `to_ros` is called with what clients and the API said."""

    kind = ROBOTICS
    can_take_over_silent = True

    def __init__(
        self, place: Place, clock: Clock, *, owner: str, settings: RoboticsSettings, tie: Tie | None = None
    ) -> None:
        super().__init__(place, clock, owner=owner, max_consumers=settings.max_consumers, tie=tie)
        self.settings, self.takeover_s = settings, settings.takeover_s
        made = settings.joints()
        self.joints: Callable[[], Joints] = lambda: made
        self.to_ros: Callable[[RoomJoints], None] = lambda _joints: None
        self.state: dict[str, float] = {}
        self.state_unit = ""
        self.seq = 0
        self.born_ns = 0
        self.refused_from_ros = 0
        self._api_ns = 0

    @property
    def age_ms(self) -> float | None:
        """Of the newest values; None before the first."""
        return round((self.clock.steady_ns() - self.born_ns) / 1e6, 3) if self.seq else None

    @property
    def api_spoke_s(self) -> float:
        """Seconds since a command of the API."""
        return (self.clock.steady_ns() - self._api_ns) / NS if self._api_ns else float("inf")

    def greet(self, member: Member) -> None:
        """Consumers get the state before `joined`, as clients of the original expect it."""
        if not member.is_producer:
            member.mailbox.put_event(
                messages.say(
                    "state_sync",
                    data=dict(self.state),
                    seq=self.seq,
                    age_ms=self.age_ms,
                    unit=self.shown_unit,
                    estop_latched=self.estop_latched,
                )
            )
        super().greet(member)

    def on_joined(self, member: Member, *, is_resumed: bool) -> None:
        """Consumers learn that there is somebody to hear, or nobody: silence alone does not tell them why."""
        if member.is_producer:
            if not is_resumed:
                self._drop_waiting()
            self._tell_of_producer("producer_joined", member)

    def on_left(self, member: Member) -> None:
        """See on_joined."""
        if member.is_producer:
            self._tell_of_producer("producer_left", member)

    def _tell_of_producer(self, status: str, producer: Member) -> None:
        data = {"participant_id": producer.participant_id}
        self.tell(messages.say("status_update", status=status, data=data), but=producer)

    @property
    def own_unit(self) -> str:
        """Of what clients say, as the room or its session has it; empty when nobody said. No ROS node changes it."""
        return self.settings.unit or (self.joints().unit if self.joints().joint_names else "")

    @property
    def shown_unit(self) -> str:
        """Of `state`: a ROS node may say its values in another unit than the room's own."""
        return self.state_unit if self.state else self.own_unit

    def joined_fields(self, member: Member) -> dict[str, Any]:
        known = self.joints()
        return {
            **super().joined_fields(member),
            "unit": self.own_unit,
            "joint_names": list(known.joint_names),
            "max_age_ms": self.settings.max_age_s * 1000.0,
        }

    def say(self, member: Member, said: JointsSaid) -> None:
        """A client's update: everybody gets it, or the client an error with a code."""
        now_ns = self.clock.steady_ns()
        member.heard_ns = self.active_ns = now_ns
        # The delay is learnt from every message, also from one that is refused.
        late_s = 0.0 if said.stamp_mono_ns is None else member.delay.delay_s(said.stamp_mono_ns, now_ns)
        age_s = late_s + said.age_ms / 1000.0
        try:
            if not member.is_producer:
                raise refuse(Conflict, "not_producer", "Only the producer of this room says joint values.")
            self._check_age(age_s)
            self._take(said.data, member.participant_id, age_s=age_s, now_ns=now_ns, stamp=said.stamp_mono_ns)
        except ArenaError as error:
            member.refuse(
                error.code, str(error), **({"age_ms": age_s * 1e3} if error.code == "stale" else {})
            )

    def _check_age(self, age_s: float) -> None:
        if age_s > self.settings.max_age_s:
            raise refuse(
                InvalidInput,
                "stale",
                f"The values were {age_s:.2f} s old; this room takes {self.settings.max_age_s:g} s.",
            )

    def command(self, payload: Any) -> int:
        """Values said over REST; returns how many joints. Raises InvalidInput or Conflict with a code."""
        if self.is_ros_only or self.ros_producers:
            raise refuse(Conflict, "ros_only", "The robot side produces in this room.")
        now_ns = self.clock.steady_ns()
        self._api_ns = self.active_ns = now_ns
        return self._take(payload, API_SOURCE, age_s=0.0, now_ns=now_ns, stamp=None)

    def _take(self, payload: Any, source: str, *, age_s: float, now_ns: int, stamp: int | None) -> int:
        if self.estop_latched:
            raise refuse(Conflict, "estop_latched", "The e-stop of this room is latched: reset it first.")
        known, unit = self.joints(), self.own_unit
        update = parse_joints(payload, known)
        more = extras(payload)
        self._turn_to(unit)
        if len(self.state.keys() | update.names) > MAX_JOINTS:
            raise refuse(
                InvalidInput, "joints_too_many", f"A room has at most {MAX_JOINTS} joints in all its updates."
            )
        entries = {
            name: {"name": name, "value": value}
            for name, value in zip(update.names, update.values, strict=True)
        }
        for said, fields in more.items():
            entries[known.name_of(said)].update(fields)
        self._publish(entries, source, age_s=age_s, now_ns=now_ns, stamp=stamp)
        self.to_ros(
            RoomJoints(
                update.names,
                update.values,
                unit,
                self.seq,
                self.clock.wall_ns() - round(age_s * NS),
                source,
                age_s,
            )
        )
        return len(entries)

    def hear(self, joints: RoomJoints, receipt_ns: int) -> None:
        """Values of the topic. Unusable ones are counted and left out.

        In a session's rooms they are shown also while the e-stop is latched: they tell what its guard does.
        """
        if self.tie is None and self.estop_latched:
            return
        is_whole = len(joints.names) == len(joints.values) and 0 < len(joints.names) <= MAX_JOINTS
        if not is_whole or not all(isfinite(value) for value in (*joints.values, joints.age_s)):
            self.refused_from_ros += 1
            return
        if len(self.state.keys() | set(joints.names)) > MAX_JOINTS:
            self.state = {}
        self._turn_to(joints.unit or self.own_unit)
        self._publish(
            {name: {"name": name, "value": value} for name, value in zip(joints.names, joints.values)},
            joints.source or ROS_SOURCE,
            age_s=max(joints.age_s, 0.0),
            now_ns=receipt_ns,
            stamp=None,
        )

    def _turn_to(self, unit: str) -> None:
        """Values in another unit are none of the new ones': neither kept nor merged with what waits."""
        if unit != self.state_unit:
            self.state, self.state_unit = {}, unit
            self._drop_waiting()

    def _drop_waiting(self) -> None:
        for member in self.members.values():
            member.mailbox.drop_joints()

    def _publish(
        self,
        entries: Mapping[str, Mapping[str, Any]],
        source: str,
        *,
        age_s: float,
        now_ns: int,
        stamp: int | None,
    ) -> None:
        self.state.update({name: entry["value"] for name, entry in entries.items()})
        self.seq += 1
        self.born_ns = now_ns - round(age_s * NS)
        news = JointNews(
            entries, self.seq, source, self.state_unit, self.born_ns, now_ns, stamp, self.estop_latched
        )
        shared: JointNews | None = None
        for member in self.members.values():
            if not member.is_producer:
                shared = shared or with_text(news)
                member.mailbox.put_joints(shared)

    def latched_state(self) -> dict[str, Any]:
        """What REST tells of the values."""
        return {
            "joints": dict(self.state),
            "seq": self.seq,
            "age_ms": self.age_ms,
            "unit": self.shown_unit,
            "estop_latched": self.estop_latched,
        }
