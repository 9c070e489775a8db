# SPDX-License-Identifier: Apache-2.0
"""What every room is: its members and their roles, its e-stop latch, and how it tells everybody. Pure.

Ids of participants are of one room only. There is one producer: a client, or ROS. Nothing here waits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from lerobot_arena.core.clock import Clock, seconds_between
from lerobot_arena.core.errors import Conflict, Forbidden, TooMany
from lerobot_arena.rooms import messages
from lerobot_arena.rooms.mailbox import Mailbox
from lerobot_arena.rooms.media_wire import CONSUMER
from lerobot_arena.rooms.member import Departed, Member, owns_token
from lerobot_arena.rooms.refusals import Close, refuse
from lerobot_arena.rooms.wire import Join

DEFAULT_CONSUMERS, MOST_CONSUMERS = 10, 100
_REMEMBERED_S = 120.0
_MOST_REMEMBERED = 64
_ONCE_MORE_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a room is; its ROS topic follows."""

    kind: str
    workspace_id: str
    room_id: str


@dataclass(frozen=True, slots=True)
class Tie:
    """The session a room belongs to. `is_ros_only`: no client may produce in it; `is_arm`: an arm's own topic."""

    session_id: str
    arm: str
    image_topic: str = ""
    joints_topic: str = ""
    is_ros_only: bool = False
    is_arm: bool = False


class Room:
    """Kept by the Hub; RoboticsRoom and VideoRoom say what its members exchange."""

    kind: ClassVar[str]
    can_take_over_silent: ClassVar[bool] = False

    def __init__(
        self,
        place: Place,
        clock: Clock,
        *,
        owner: str,
        max_consumers: int = DEFAULT_CONSUMERS,
        tie: Tie | None = None,
    ) -> None:
        self.place, self.clock, self.owner = place, clock, owner
        self.max_consumers, self.tie = max_consumers, tie
        self.members: dict[str, Member] = {}
        self.created_ns = self.active_ns = clock.steady_ns()
        self.ros_producers = 0
        self.takeover_s = 10.0
        self.latched_by: str | None = None
        self.guard_is_latched: Callable[[], bool] = lambda: False
        self.is_closed = False
        self._departed: dict[str, Departed] = {}
        self._shouted_ns = 0

    # Who is here

    @property
    def producer(self) -> Member | None:
        """The client that produces."""
        return next((member for member in self.members.values() if member.is_producer), None)

    @property
    def consumers(self) -> list[Member]:
        """In the order in which they came."""
        return [member for member in self.members.values() if not member.is_producer]

    @property
    def is_ros_only(self) -> bool:
        """No client may produce here."""
        return self.tie is not None and self.tie.is_ros_only

    def participants(self) -> dict[str, Any]:
        """As REST tells it; `ros` stands for a producer on the topic."""
        producer = self.producer
        name = producer.participant_id if producer else "ros" if self.ros_producers else None
        consumers = [member.participant_id for member in self.consumers]
        return {"producer": name, "consumers": consumers, "total": len(self.members)}

    def touch(self) -> None:
        """Somebody used the room."""
        self.active_ns = self.clock.steady_ns()

    def join(self, join: Join, identity: str, mailbox: Mailbox) -> Member:
        """Let somebody in. Raises Conflict, Forbidden or TooMany with a code; then nothing has changed."""
        now_ns = self.clock.steady_ns()
        old = self.members.get(join.participant_id)
        member = Member(join, identity, mailbox, now_ns)
        if old is not None:
            self._check_resume(old, member)
            member.delay = old.delay
            old.mailbox.close(Close.RESUMED, "resumed on another connection")
        else:
            self._check_seat(join, now_ns)
            gone = self._departed.pop(join.participant_id, None)
            if gone is not None and owns_token(gone.token, join.resume):
                member.delay = gone.delay
        self.members[join.participant_id] = member
        self.touch()
        self.on_joined(member, is_resumed=old is not None)
        return member

    def _check_resume(self, old: Member, new: Member) -> None:
        is_same = owns_token(old.token, new.join.resume) and (old.identity, old.role) == (
            new.identity,
            new.role,
        )
        if not is_same:
            raise refuse(
                Conflict,
                "participant_taken",
                f"Participant {new.participant_id!r} is in this room already. Choose another id, or send the resume "
                "token of its `joined` to take its place.",
            )

    def _check_seat(self, join: Join, now_ns: int) -> None:
        if join.role == CONSUMER:
            if len(self.consumers) >= self.max_consumers:
                raise refuse(
                    TooMany, "room_full", f"This room takes {self.max_consumers} consumers (max_consumers)."
                )
            return
        if self.is_ros_only:
            raise refuse(
                Forbidden, "ros_only", "Only the robot side produces in this room; join it as a consumer."
            )
        if self.ros_producers:
            raise refuse(Conflict, "ros_produces", "A ROS node publishes on this room's topic already.")
        holder = self.producer
        if holder is None:
            return
        silent_s = seconds_between(holder.heard_ns, now_ns)
        if not self.can_take_over_silent or silent_s <= self.takeover_s:
            raise refuse(
                Conflict,
                "producer_taken",
                f"Participant {holder.participant_id!r} produces in this room already.",
            )
        holder.refuse("stale", f"Nothing was heard of you for {silent_s:.1f} s, and another producer came.")
        self.leave(holder)
        holder.mailbox.close(Close.SILENT, "stale: another producer came")

    def leave(self, member: Member) -> None:
        """A connection ended. Does nothing when another one has taken its place."""
        if self.members.get(member.participant_id) is not member:
            return
        del self.members[member.participant_id]
        self._remember(member)
        self.touch()
        self.on_left(member)

    def _remember(self, member: Member) -> None:
        now_ns = self.clock.steady_ns()
        self._departed = {
            name: gone
            for name, gone in self._departed.items()
            if seconds_between(gone.left_ns, now_ns) < _REMEMBERED_S
        }
        while len(self._departed) >= _MOST_REMEMBERED:
            self._departed.pop(next(iter(self._departed)))
        self._departed[member.participant_id] = Departed(member.token, member.delay, now_ns)

    def on_joined(self, member: Member, *, is_resumed: bool) -> None:
        """Tell whom it concerns."""

    def on_left(self, member: Member) -> None:
        """Tell whom it concerns."""

    # Telling

    def tell(self, text: str, *, but: Member | None = None) -> None:
        """An event for everybody, but one."""
        for member in self.members.values():
            if member is not but:
                member.mailbox.put_event(text)

    def close(self, reason: str) -> None:
        """The room is gone: everybody is told and let go."""
        self.is_closed = True
        text = messages.say(
            "room_closed", room_id=self.place.room_id, workspace_id=self.place.workspace_id, reason=reason
        )
        for member in list(self.members.values()):
            member.mailbox.put_event(text)
            member.mailbox.close(Close.ROOM_CLOSED, "room closed")
        self.members.clear()

    # Emergency stop

    @property
    def estop_latched(self) -> bool:
        """By this room, or by the guard of the session's arm."""
        return self.latched_by is not None or self.guard_is_latched()

    def emergency_stop(self, source: str, reason: str) -> None:
        """Latch, and tell everybody before anything else; what waits to be executed is forgotten."""
        was_latched, now_ns = self.estop_latched, self.clock.steady_ns()
        self.latched_by = self.latched_by or source
        if was_latched and now_ns - self._shouted_ns < _ONCE_MORE_NS:
            # Everybody has just been told; a client that repeats itself must not push others out.
            self._tell_sender(source, reason)
            return
        self._shouted_ns = now_ns
        self._shout(source, reason)

    def guard_latched(self, reason: str) -> None:
        """The session's arm was stopped by somebody else."""
        self._shout("guard", reason)

    def _tell_sender(self, source: str, reason: str) -> None:
        if source in self.members:
            self.members[source].mailbox.put_urgent(_stop_text(source, reason))

    def _shout(self, source: str, reason: str) -> None:
        self.touch()
        text = _stop_text(source, reason)
        for member in list(self.members.values()):
            member.mailbox.drop_joints()
            member.mailbox.put_urgent(text)

    def release(self, source: str) -> bool:
        """End the room's own latch; True when there was one."""
        was, self.latched_by = self.latched_by, None
        if was is not None and not self.estop_latched:
            self.tell_released(source)
        return was is not None

    def tell_released(self, source: str) -> None:
        """Joint updates are taken again."""
        self.tell(
            messages.say("status_update", status="estop_reset", data={"source": source}, estop_latched=False)
        )

    def joined_fields(self, member: Member) -> dict[str, Any]:
        """Of `joined`, after the protocol's own."""
        return {
            "workspace_id": self.place.workspace_id,
            "participant_id": member.participant_id,
            "resume": member.token,
            "estop_latched": self.estop_latched,
            "max_consumers": self.max_consumers,
            "server_mono_ns": self.clock.steady_ns(),
        }

    def greet(self, member: Member) -> None:
        """What a member gets first."""
        member.mailbox.put_event(self.joined(member))

    def joined(self, member: Member) -> str:
        """The handshake's answer."""
        return messages.say(
            "joined", room_id=self.place.room_id, role=member.role, **self.joined_fields(member)
        )


def _stop_text(source: str, reason: str) -> str:
    return messages.say("emergency_stop", reason=reason, source=source, estop_latched=True)


def identities(rooms: Iterable[Room]) -> list[str]:
    """The account of every participant of every room."""
    return [member.identity for room in rooms for member in room.members.values()]
