# SPDX-License-Identifier: Apache-2.0
"""One room of a session on another arena: a participant there and one here, with a pipe between them.

Everything that goes through carries its age, and each end refuses what is too old; so a link that stalls looks to the
guard like a camera or a robot that fell silent.
"""

import asyncio
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any

from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.client import wire as remote_wire
from lerobot_arena.client.arena import AsyncArena
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.joint_room import JointRoom, Update, joint_room
from lerobot_arena.client.room_link import Place as RemotePlace
from lerobot_arena.client.room_link import RoomLink
from lerobot_arena.client.sockets import Backoff
from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import ArenaError, Conflict, Unavailable
from lerobot_arena.core.principal import LOCAL
from lerobot_arena.core.room import VIDEO
from lerobot_arena.rooms.mailbox import Closing, Mailbox
from lerobot_arena.rooms.media_wire import CONSUMER, JPEG, PRODUCER, WEBRTC
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.ports import ARENA
from lerobot_arena.rooms.robotics import DEFAULT_MAX_AGE_S, RoboticsRoom
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.video import VideoRoom
from lerobot_arena.rooms.wire import Join, JointsSaid

_log = logging.getLogger(__name__)

PARTICIPANT = "remote"
_LOOK_S = 0.5


class RemoteRoom(ABC):
    """A pipe that is laid again whenever it breaks. `run` until cancelled."""

    def __init__(
        self, server: RoomServer, place: Place, arena: AsyncArena, connection: Connection, *, name: str
    ) -> None:
        """`name` is who this server is in the room over there."""
        self._server, self._place, self._arena, self._connection = server, place, arena, connection
        self._name = name
        self.detail = "not joined yet"
        self._here: tuple[Room, Member] | None = None

    @property
    def is_live(self) -> bool:
        """Joined on both sides, and the other arena was heard of a moment ago."""
        return self._here is not None and not self.detail

    async def run(self) -> None:
        """Make the room there, join it on both sides, pass things on; again after every failure."""
        backoff = Backoff()
        while True:
            error: ArenaError
            try:
                await self._make()
                await self._join()
                error = Unavailable("The connection ended.")
            except ArenaError as found:
                error = found
            self.detail = str(error)
            _log.info("Room %s on %s: %s", self._place.room_id, self._connection.url, error)
            await asyncio.sleep(backoff.pause_s(error))

    async def _make(self) -> None:
        kind = self._arena.video if self._place.kind == VIDEO else self._arena.robotics
        try:
            await kind.create(self._place.workspace_id, self._place.room_id)
        except Conflict as error:
            # It is there, made by somebody else: whether we may use it, joining tells.
            _log.debug("Room %s: %s", self._place.room_id, error)

    @abstractmethod
    async def _join(self) -> None:
        """Pass things on until it ends. Raises what either side says."""

    def _seat(self, role: str, media: str = WEBRTC) -> "_Seat":
        return _Seat(self._server, self._place, Join(PARTICIPANT, role, media))

    def _on_change(self, is_up: bool, reason: str) -> None:
        self.detail = "" if is_up else reason or "The connection broke."

    async def _while_linked(self, link: RoomLink, *works: Coroutine[Any, Any, None]) -> None:
        """Do these until one ends, or the link is over for good. Raises what it ended with."""
        tasks = [asyncio.create_task(work) for work in (*works, self._watch(link))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _watch(link: RoomLink) -> None:
        while link.failure is None:  # noqa: ASYNC110  the client has no event for it
            await asyncio.sleep(_LOOK_S)
        raise link.failure

    def _on_estop(self, reason: str, source: str) -> None:
        """Somebody over there stopped: the arm is stopped here."""
        if source != self._name and self._here is not None:
            room, member = self._here
            self._server.emergency_stop(room, member, f"{reason} (by {source} on {self._connection.url})")


class _Seat:
    """This server's own place in one of its rooms; use it in an `async with`."""

    def __init__(self, server: RoomServer, place: Place, join: Join) -> None:
        self._server, self._place, self._join = server, place, join
        self.mailbox = Mailbox(server.clock.steady_ns)

    async def __aenter__(self) -> tuple[Room, Member]:
        self._taken = await self._server.join(self._place, self._join, LOCAL, self.mailbox)
        return self._taken

    async def __aexit__(self, *_: object) -> None:
        self._server.leave(*self._taken)

    async def next(self) -> dict[str, Any]:
        """What is said to us here; pictures are left out. Raises Unavailable when we are let go."""
        while True:
            parcel = await self.mailbox.take()
            if isinstance(parcel, Closing):
                raise Unavailable(f"The room here let us go: {parcel.reason}.")
            if isinstance(parcel, str):
                message: dict[str, Any] = json.loads(parcel)
                return message


class RemoteJoints(RemoteRoom):
    """Joints: measured ones come from there (`is_input`), executed ones go there."""

    def __init__(self, *args: Any, is_input: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        self._is_input = is_input

    async def _join(self) -> None:
        there = joint_room(
            self._connection,
            self._place.workspace_id,
            self._place.room_id,
            role=CONSUMER if self._is_input else PRODUCER,
            participant_id=self._name,
            max_age_s=DEFAULT_MAX_AGE_S,
        )
        there.on_change, there.on_estop = self._on_change, self._on_estop
        seat = self._seat(PRODUCER if self._is_input else CONSUMER)
        async with seat as self._here:
            if self._is_input:
                there.on_update = self._take
            try:
                async with there:
                    await self._while_linked(there.link, self._pass_on(seat, there))
            finally:
                self._here = None

    def _take(self, update: Update) -> None:
        assert self._here is not None
        room, member = self._here
        data = [{"name": name, "value": value} for name, value in update.joints.items()]
        if isinstance(room, RoboticsRoom):
            room.say(member, JointsSaid(data, age_ms=update.age_s * 1000.0))

    async def _pass_on(self, seat: _Seat, there: JointRoom) -> None:
        while True:
            message = await seat.next()
            if message["type"] == "joint_update" and not self._is_input:
                born_ns = time.monotonic_ns() - round(float(message["age_ms"]) / 1000.0 * NS)
                there.send_joints(remote_wire.joints_of(message["data"]), stamp_ns=born_ns)
            elif message["type"] == "emergency_stop" and message.get("source") != PARTICIPANT:
                await there.emergency_stop(str(message.get("reason")))
            elif message["type"] == "error" and self._is_input:
                self._note_refusal(str(message.get("message")))

    def _note_refusal(self, text: str) -> None:
        _log.debug("Joints from %s are refused here: %s", self._connection.url, text)


class _WebRTCInstead(Exception):
    """The other arena offers WebRTC, so our media process has to take part."""


class RemoteCamera(RemoteRoom):
    """A camera that comes from there: JPEG where that arena has it, else WebRTC through our media process."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.media = JPEG
        self._producer = ""
        self._offered: dict[str, Any] | None = None

    async def _join(self) -> None:
        place = RemotePlace.checked(
            VIDEO, self._place.workspace_id, self._place.room_id, CONSUMER, self._name
        )
        said: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=256)
        # What stands in for a lost picture must never reach a policy.
        more = {"media": JPEG, "frames": "v3", "stand_ins": False} if self.media == JPEG else {}
        link = RoomLink(
            self._connection,
            place,
            on_message=lambda message, _: self._hear(said, message),
            on_bytes=self._show,
            on_change=self._on_change,
            more=more,
        )
        try:
            await link.open()
            while True:
                seat = self._seat(PRODUCER, self.media)
                async with seat as self._here:
                    try:
                        await self._while_linked(link, self._signal_there(seat), self._signal_here(said))
                    except _WebRTCInstead:
                        self.media = WEBRTC
                    finally:
                        self._here = None
        finally:
            await link.close()

    def _hear(self, said: "asyncio.Queue[dict[str, Any]]", message: dict[str, Any]) -> None:
        if message["type"] == "emergency_stop":
            self._on_estop(str(message.get("reason")), str(message.get("source")))
        elif message["type"] in {"webrtc_offer", "webrtc_ice"} and not said.full():
            said.put_nowait(message)

    def _show(self, data: bytes, received_ns: int) -> None:
        if self._here is None:
            return
        room, member = self._here
        frame = remote_wire.read_frame(data)
        waited_s = (time.monotonic_ns() - received_ns) / NS
        packed = remote_wire.pack_frame(
            frame.jpeg, seq=frame.seq, stamp_ns=frame.stamp_mono_ns, age_s=(frame.age_s or 0.0) + waited_s
        )
        if isinstance(room, VideoRoom):
            room.frame(member, packed)

    async def _signal_here(self, said: "asyncio.Queue[dict[str, Any]]") -> None:
        """What its producer offers is offered to our media process."""
        while True:
            message = self._offered or await said.get()
            if self.media == JPEG:
                # An arena that has no JPEG socket; what it offers is taken with the other place here.
                self._offered = message
                raise _WebRTCInstead
            self._offered = None
            assert self._here is not None
            room, member = self._here
            offer = message.get("offer") or {}
            kind = "offer" if message["type"] == "webrtc_offer" else "ice"
            asked = {"type": kind, "target_consumer": ARENA, "candidate": message.get("candidate")}
            self._producer = str(message.get("from_producer") or "")
            if isinstance(room, VideoRoom):
                self._server.media.post(
                    room, member.participant_id, {**asked, "sdp": offer.get("sdp")}, LOCAL
                )

    async def _signal_there(self, seat: _Seat) -> None:
        """What our media process answers goes to that producer."""
        while True:
            message = await seat.next()
            if message["type"] == "webrtc_answer":
                answer = {
                    **(message.get("answer") or {}),
                    "type": "answer",
                    "target_producer": self._producer,
                }
            elif message["type"] == "webrtc_ice":
                answer = {
                    "type": "ice",
                    "candidate": message.get("candidate"),
                    "target_producer": self._producer,
                }
            else:
                continue
            await self._arena.video.signal(self._place.workspace_id, self._place.room_id, self._name, answer)
