# SPDX-License-Identifier: Apache-2.0
"""The rooms server: who may make, see, join and end rooms; it keeps database, topics and media process in step."""

import asyncio
import contextlib
import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from lerobot_arena.bridge.emergency import Emergency
from lerobot_arena.bridge.rooms_media import RoomMedia
from lerobot_arena.bridge.rooms_sessions import SessionRooms
from lerobot_arena.bridge.rooms_store import RoomRecord, RoomStore
from lerobot_arena.bridge.rooms_traffic import RoomTraffic
from lerobot_arena.bridge.rooms_watch import RoomWatch
from lerobot_arena.core import topics
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotFound, TooMany
from lerobot_arena.core.ids import check_id
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.room import ROBOTICS
from lerobot_arena.rooms.hub import SWEEP_S, Hub
from lerobot_arena.rooms.mailbox import Mailbox
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.refusals import Close, refuse
from lerobot_arena.rooms.robotics import RoboticsRoom, RoboticsSettings
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.rooms.video_config import recovery_config, video_config
from lerobot_arena.rooms.wire import Join

_log = logging.getLogger(__name__)

Settings = RoboticsSettings | VideoSettings
_MOST_WAITING, _MOST_WAITING_OF_ONE = 128, 32


class RoomServer:
    """Lives on the event loop; `open` before the first request."""

    def __init__(
        self,
        hub: Hub,
        store: RoomStore,
        *,
        traffic: RoomTraffic,
        media: RoomMedia,
        watch: RoomWatch,
        emergency: Emergency,
    ) -> None:
        self.hub, self._store = hub, store
        self.traffic, self.media, self.watch = traffic, media, watch
        self.sessions: SessionRooms
        self._emergency = emergency
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: set[str] = set()
        self._latching: set[asyncio.Task[None]] = set()
        self._waiting: Counter[str] = Counter()

    @property
    def clock(self) -> Clock:
        """Of ages and waits."""
        return self.hub.clock

    async def open(self) -> None:
        """Take up the rooms of before, and keep watch."""
        for record in await asyncio.to_thread(self._store.load):
            self._restore(record)
        for keep in (self.traffic.keep_looking(), self._keep_sweeping(), self.watch.keep_watching()):
            self._start(keep)

    def _restore(self, record: RoomRecord) -> None:
        try:
            room = self._made(record.place, record.owner, settings_from(record.place.kind, record.settings))
            room.latched_by = record.latched_by or None
            self.hub.add(room)
        except (ArenaError, TypeError) as error:
            _log.warning("Room %s is not taken up: %s", record.place, error)
            return
        self.prepare(room)

    async def close(self) -> None:
        """Everybody is told that the server ends."""
        await asyncio.gather(*self._latching, return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for room in self.hub:
            for member in list(room.members.values()):
                member.mailbox.close(Close.ENDING, "the server ends")
        self.watch.close()
        self.traffic.close()

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A task of the rooms ended.", exc_info=error)

    def prepare(self, room: Room) -> None:
        """Connect a new room to ROS and the media process."""
        self.traffic.prepare(room)
        if isinstance(room, VideoRoom):
            self.media.prepare(room)
            self.watch.prepare(room)

    def gone(self, room: Room) -> None:
        """Take leave of a room that ends."""
        self.media.gone(room)
        self.watch.forget(room)
        self.traffic.forget(room)

    # Making and ending

    async def create(
        self, kind: str, workspace_id: str, room_id: str | None, settings: Settings, caller: Principal
    ) -> Room:
        """A new room, or the caller's own that is there and does not differ. Raises Conflict, InvalidInput, TooMany."""
        place = Place(
            kind, check_id(workspace_id, "workspace_id"), check_id(room_id or str(uuid.uuid4()), "room_id")
        )
        topics.room(place.workspace_id, place.room_id)
        there = self.hub.find(place)
        if there is not None:
            if caller.sees(there.owner) and not differing(there, settings):
                return there
            raise refuse(
                Conflict,
                "room_exists",
                f"Room {place.room_id!r} exists already, made otherwise. Delete it first.",
            )
        room = self._made(place, caller.name, settings)
        self.hub.add(room)
        self.prepare(room)
        record = RoomRecord(place, room.owner, room.max_consumers, asdict(settings))
        try:
            async with self._writing:
                await asyncio.to_thread(self._store.insert, record)
        except BaseException:
            self.gone(room)
            self.hub.remove(place, "it could not be stored")
            raise
        return room

    def _made(self, place: Place, owner: str, settings: Settings) -> Room:
        if isinstance(settings, RoboticsSettings):
            return RoboticsRoom(place, self.clock, owner=owner, settings=settings)
        return VideoRoom(place, self.clock, owner=owner, settings=settings)

    async def delete(self, place: Place, caller: Principal) -> None:
        """End a room of the caller's. Raises NotFound; Conflict for a session's."""
        room = self.seen(place, caller)
        caller.check_sees(room.owner, "Room")
        if room.tie is not None:
            raise refuse(
                Conflict,
                "session_room",
                f"The room belongs to session {room.tie.session_id} and ends with it.",
            )
        await self._end(room, "deleted")

    def give_way(self, room: Room, reason: str) -> None:
        """End a client's room at once, its row a moment later."""
        self._remove(room, reason)
        self._start(self._forget(room.place))

    async def _end(self, room: Room, reason: str) -> None:
        self._remove(room, reason)
        await self._forget(room.place)

    def _remove(self, room: Room, reason: str) -> None:
        self.gone(room)
        self.hub.remove(room.place, reason)

    async def _forget(self, place: Place) -> None:
        # Writes wait in the order of what they write of: a room made here meanwhile is inserted after this.
        async with self._writing:
            await asyncio.to_thread(self._store.delete, place)

    async def clean(self, kind: str, caller: Principal | None = None) -> int:
        """End the rooms that nobody used for long: all, or the caller's own."""
        due = [
            room
            for room in self.hub.due(lambda room: caller is None or caller.sees(room.owner))
            if room.place.kind == kind
        ]
        for room in due:
            await self._end(room, "inactive")
        return len(due)

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for kind in {room.place.kind for room in self.hub}:
                try:
                    await self.clean(kind)
                except Exception:  # the database's own kinds; the next sweep may do better
                    _log.exception("Unused %s rooms could not be removed.", kind)

    # Seeing and joining

    def seen(self, place: Place, caller: Principal) -> Room:
        """A room whose name the caller knows. Raises NotFound, also for the rooms of somebody else's session."""
        room = self.hub.get(place)
        if room.tie is not None and not caller.sees(room.owner):
            raise NotFound("Room not found")
        return room

    def own(self, kind: str, caller: Principal, workspace_id: str | None = None) -> list[Room]:
        """What a list shows."""
        rooms = self.hub.of_kind(kind) if workspace_id is None else self.hub.of_workspace(kind, workspace_id)
        return [room for room in rooms if caller.sees(room.owner)]

    @contextlib.contextmanager
    def waiting_room(self, caller: Principal) -> Iterator[None]:
        """A place for a socket that has not joined yet. Raises TooMany."""
        name, waiting = caller.name, self._waiting
        if waiting.total() >= _MOST_WAITING or waiting[name] >= _MOST_WAITING_OF_ONE:
            raise refuse(
                TooMany,
                "too_many_participants",
                f"{waiting.total()} sockets wait to join already, {waiting[name]} of them yours; at most "
                f"{_MOST_WAITING} and {_MOST_WAITING_OF_ONE}.",
            )
        waiting[name] += 1
        try:
            yield
        finally:
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]

    async def join(
        self, place: Place, join: Join, caller: Principal, mailbox: Mailbox
    ) -> tuple[Room, Member]:
        """Let somebody in; its first messages wait in `mailbox`. Raises ArenaError with a code."""
        room = self.seen(place, caller)
        if not isinstance(room, VideoRoom) and join.media != "webrtc":
            raise refuse(InvalidInput, "join_invalid", "Only video rooms have media.")
        self.hub.check_participant(caller.name)
        if join.role == "producer" and not room.is_ros_only:
            await self.traffic.look([room])
            room = self.seen(place, caller)
        is_resumed = join.participant_id in room.members
        member = room.join(join, caller.name, mailbox)
        room.greet(member)
        self._on_members(room)
        self.media.joined(room, member, is_resumed=is_resumed)
        return room, member

    def leave(self, room: Room, member: Member) -> None:
        """A socket ended."""
        if room.members.get(member.participant_id) is not member:
            return
        room.leave(member)
        self.media.left(room, member)
        self._on_members(room)

    def _on_members(self, room: Room) -> None:
        if not room.is_closed:
            self.traffic.update(room)
            self.watch.update(room)

    # Saying

    def command(self, room: RoboticsRoom, payload: list[dict[str, Any]]) -> int:
        """Joint values over REST."""
        updated = room.command(payload)
        self.traffic.update(room)
        return updated

    def emergency_stop(self, room: Room, member: Member, reason: str) -> None:
        """Latch at once and tell everybody; in a session's room the arm's guard is stopped as well."""
        before = room.latched_by
        room.emergency_stop(member.participant_id, reason)
        if room.latched_by != before:
            self._keep_latch(room)
        _log.warning("E-stop by %s in room %s: %s", member.participant_id, room.place.room_id, reason)
        if room.tie is not None and room.tie.arm not in self._stopping:
            self._start(self._stop_arm(room, member, room.tie.arm))

    def _keep_latch(self, room: Room) -> None:
        """Write who stopped a client's room, after everybody was told; what a session's keeps is its guard's."""
        if room.tie is None:
            task = self._start(self._write_latch(room))
            self._latching.add(task)
            task.add_done_callback(self._latching.discard)

    async def _write_latch(self, room: Room) -> None:
        async with self._writing:
            if self.hub.find(room.place) is room:
                await asyncio.to_thread(self._store.latch, room.place, room.latched_by or "")

    async def _stop_arm(self, room: Room, member: Member, arm: str) -> None:
        self._stopping.add(arm)
        try:
            await self._emergency.stop(arm)
        except ArenaError as error:
            member.refuse("estop_not_acknowledged", f"The room is latched, but not the arm: {error}")
            return
        finally:
            self._stopping.discard(arm)
        # From now on the guard's own latch says when it ends.
        if room.guard_is_latched():
            room.latched_by = None

    def reset(self, room: Room, caller: Principal) -> None:
        """End a room's own latch. Raises NotFound for somebody else's, Conflict while a session's arm is latched."""
        caller.check_sees(room.owner, "Room")
        if room.guard_is_latched():
            arm = room.tie.arm if room.tie is not None else ""
            raise refuse(
                Conflict,
                "estop_latched",
                f"The arm is latched: POST /api/control/reset?arm={arm} releases both.",
            )
        if room.release(caller.name):
            self._keep_latch(room)


def differing(room: Room, asked: Settings) -> list[str]:
    """Names of settings that were asked for and are not the room's. What was left out does not differ."""
    default, mine = type(asked)(), room_settings(room)
    return [
        name
        for name, value in asdict(asked).items()
        if value != asdict(default)[name] and (mine is None or asdict(mine).get(name) != value)
    ]


def room_settings(room: Room) -> Settings | None:
    """As it was made."""
    return room.settings if isinstance(room, RoboticsRoom | VideoRoom) else None


def settings_from(kind: str, stored: Mapping[str, Any]) -> Settings:
    """What the database keeps. Raises TypeError or ArenaError when another version wrote it."""
    values = dict(stored)
    if kind == ROBOTICS:
        return replace(RoboticsSettings(**values), joint_names=tuple(values.get("joint_names", ())))
    config = values.pop("config", {})
    size = {"width": config.pop("width"), "height": config.pop("height")}
    recovery = recovery_config(values.pop("recovery", {}))
    return VideoSettings(config=video_config({**config, "resolution": size}), recovery=recovery, **values)
