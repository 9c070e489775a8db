# SPDX-License-Identifier: Apache-2.0
"""An arena that says in its rooms what a test wants, also what no server should; and a room of ours joined to it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from lerobot_arena.bridge.remote_room import RemoteRoom
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.room_codes import Close
from lerobot_arena.rooms.mailbox import Mailbox
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.wire import Join


class ScriptedArena:
    """Use it in an `async with`. Every room is there already; whoever joins gets `greeting` and then `joined`.

    `joins` are the first frames of all who came, `heard` what they said later.
    """

    def __init__(self) -> None:
        self.greeting: list[str] = []
        self.joined: dict[str, Any] = {"resume": "token", "max_age_ms": 500.0, "estop_latched": False}
        self.acks = True
        self.joins: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self._sockets: set[ServerConnection] = set()
        self._server: Server

    @property
    def url(self) -> str:
        """Of the root."""
        return f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def __aenter__(self) -> "ScriptedArena":
        self._server = await serve(self._serve, "127.0.0.1", 0, process_request=_answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        self.joins.append(json.loads(await socket.recv()))
        for text in self.greeting:
            await socket.send(text)
        stamp = {"server_mono_ns": time.monotonic_ns()}
        await socket.send(json.dumps({"type": "joined", **self.joined, **stamp}))
        self._sockets.add(socket)
        try:
            async for data in socket:
                self.heard.append(message := json.loads(data))
                if message["type"] == "heartbeat" and self.acks:
                    await socket.send(
                        json.dumps({"type": "heartbeat_ack", "server_mono_ns": time.monotonic_ns()})
                    )
        finally:
            self._sockets.discard(socket)

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        """To everybody who is there."""
        data = json.dumps(message) if isinstance(message, dict) else message
        for socket in list(self._sockets):
            await socket.send(data)

    async def let_go(self, code: int = Close.ENDING) -> None:
        """Close every socket."""
        for socket in list(self._sockets):
            await socket.close(code)


def _answer(connection: ServerConnection, request: Request) -> Response | None:
    if "Upgrade" in request.headers:
        return None
    body = json.dumps({"success": True, "room": {"id": "r"}}).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
    return Response(HTTPStatus.OK.value, "OK", headers, body)


class OneRoomServer:
    """As much of a RoomServer as a RemoteRoom asks for, around one real room."""

    def __init__(self, room: Room) -> None:
        self.room, self.clock, self.media = room, SystemClock(), _Media()
        self.stops: list[str] = []

    async def join(
        self, place: Place, join: Join, caller: Principal, mailbox: Mailbox
    ) -> tuple[Room, Member]:
        """Let somebody in."""
        member = self.room.join(join, caller.name, mailbox)
        self.room.greet(member)
        return self.room, member

    def leave(self, room: Room, member: Member) -> None:
        """Somebody went."""
        room.leave(member)

    def emergency_stop(self, room: Room, member: Member, reason: str) -> None:
        """Latch, and keep what was said."""
        self.stops.append(reason)
        room.emergency_stop(member.participant_id, reason)


class _Media:
    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []

    def post(self, room: Room, client_id: str, message: dict[str, Any], caller: Principal) -> str:
        self.posted.append(message)
        return "handed on"


@contextlib.asynccontextmanager
async def running(remote: RemoteRoom) -> AsyncIterator[None]:
    """Joined until the block ends."""
    task = asyncio.create_task(remote.run())
    try:
        yield
        assert not task.done(), "the pipe ended for good"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
