# SPDX-License-Identifier: Apache-2.0
"""One client's WebSocket in a room: handshake, a task that reads, a task that writes at the client's own speed."""

import asyncio
import time
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.core.errors import ArenaError, InvalidInput, TooMany
from lerobot_arena.core.principal import Principal
from lerobot_arena.rooms import messages, wire
from lerobot_arena.rooms.mailbox import Closing, Mailbox
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.refusals import CLOSE_OF, Close, refuse
from lerobot_arena.rooms.robotics import RoboticsRoom
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.video import VideoRoom

JOIN_TIMEOUT_S = 10.0
# Waiting longer for a peer that reads nothing helps nobody; the transport is aborted after it.
_FAREWELL_S = 2.0
# Sustained; a client that says more is read more slowly, and so slowed down by its own socket.
MESSAGES_PER_S, BURST = 2000.0, 4000.0
_YIELD_EVERY = 16


async def serve_room(socket: WebSocket, server: RoomServer, place: Place, principal: Principal) -> None:
    """Until the client leaves or is let go. Refusals come after the accept, as the protocol has them."""
    await socket.accept()
    try:
        with server.waiting_room(principal):
            join = await _first_frame(socket)
            mailbox = Mailbox(server.clock.steady_ns)
            room, member = await server.join(place, join, principal, mailbox)
    except ArenaError as error:
        await _turn_away(socket, error)
        return
    except WebSocketDisconnect:
        return
    try:
        await _converse(socket, server, room, member)
    finally:
        server.leave(room, member)


async def _first_frame(socket: WebSocket) -> wire.Join:
    try:
        async with asyncio.timeout(JOIN_TIMEOUT_S):
            message = await socket.receive()
    except TimeoutError:
        raise refuse(
            InvalidInput, "join_late", f"Say within {JOIN_TIMEOUT_S:g} s who joins, and in which role."
        ) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    text = message.get("text")
    if text is None:
        raise wire.bad("join_invalid", "The first frame must be text: {participant_id, role}.")
    return wire.read_join(text)


async def _turn_away(socket: WebSocket, error: ArenaError) -> None:
    fallback = Close.TOO_MANY if isinstance(error, TooMany) else Close.BAD_JOIN
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await socket.send_text(messages.cannot_join(error.code, str(error)))
            await socket.close(CLOSE_OF.get(error.code, fallback), error.code)


async def _converse(socket: WebSocket, server: RoomServer, room: Room, member: Member) -> None:
    writing = asyncio.create_task(_write(socket, member.mailbox))
    reading = asyncio.create_task(_read(socket, server, room, member))
    ending = asyncio.create_task(member.mailbox.closed())
    try:
        await asyncio.wait({writing, reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if member.mailbox.is_closing and not writing.done():
            # Its last messages and the close, if it reads at all.
            await asyncio.wait({writing}, timeout=_FAREWELL_S)
    finally:
        for task in (writing, reading, ending):
            task.cancel()
        results = await asyncio.gather(writing, reading, ending, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _write(socket: WebSocket, mailbox: Mailbox) -> None:
    """Empty the mailbox. A send waits only for this client."""
    try:
        while True:
            parcel = await mailbox.take()
            if isinstance(parcel, str):
                await socket.send_text(parcel)
            elif isinstance(parcel, bytes):
                await socket.send_bytes(parcel)
            else:
                assert isinstance(parcel, Closing)
                await socket.close(parcel.code, parcel.reason)
                return
    except (WebSocketDisconnect, RuntimeError):
        return  # Starlette's two ways of saying that the client has gone


class _Pace:
    """Lets MESSAGES_PER_S through; yields to the others now and then even when there is always more to read."""

    def __init__(self) -> None:
        self._left, self._at = BURST, time.monotonic()
        self._count = 0

    async def next(self) -> None:
        self._count += 1
        if self._count % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * MESSAGES_PER_S) - 1.0
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / MESSAGES_PER_S)


async def _read(socket: WebSocket, server: RoomServer, room: Room, member: Member) -> None:
    pace = _Pace()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await pace.next()
        text, data = message.get("text"), message.get("bytes")
        try:
            if text is not None:
                _take_text(server, room, member, text)
            elif member.mailbox.is_closing:
                continue
            elif isinstance(room, VideoRoom):
                room.frame(member, data or b"")
            else:
                raise wire.bad("not_text", "This room speaks JSON in text frames.")
        except InvalidInput as error:
            member.refuse(error.code, str(error))


def _take_text(server: RoomServer, room: Room, member: Member, text: str) -> None:
    is_robotics = isinstance(room, RoboticsRoom)
    said = wire.read_robotics(text) if is_robotics else wire.read_video(text)
    if member.mailbox.is_closing and not isinstance(said, wire.EmergencyStop):
        # Evicted, resumed elsewhere, or the room is gone: it has no say any more, but a stop is a stop.
        return
    if isinstance(said, wire.JointsSaid) and isinstance(room, RoboticsRoom):
        room.say(member, said)
        return
    member.heard_ns = room.active_ns = room.clock.steady_ns()
    if isinstance(said, wire.Heartbeat):
        member.mailbox.put_event(messages.say("heartbeat_ack", server_mono_ns=member.heard_ns))
    elif isinstance(said, wire.EmergencyStop):
        server.emergency_stop(room, member, said.reason)
    elif isinstance(said, wire.ConfigSaid) and isinstance(room, VideoRoom):
        room.configure(member, said)
    elif isinstance(said, wire.Told) and isinstance(room, VideoRoom):
        room.relay(member, said)
        server.media.note_told(room, member, said)
