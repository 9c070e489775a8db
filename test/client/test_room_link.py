# SPDX-License-Identifier: Apache-2.0
"""Servers that say odd things, and faults of our own: a room's link goes on, or says that it has ended."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from lerobot_arena.client import AsyncArena
from lerobot_arena.client import room_link as links
from lerobot_arena.client.outgoing import MOST_CONTROLS
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.testing.bridge_rig import until

LARGE = "1" + "0" * 400
# Each of them ended a reader in Python that catches only what it thought of.
ODD = [
    f'{{"type":"joint_update","data":[{{"name":"a","value":{LARGE}}}]}}',
    f'{{"type":"joint_update","data":[{{"name":"a","value":1}}],"seq":{LARGE}}}',
    f'{{"type":"error","code":"x","count":{LARGE}}}',
    "[" * 200_000,
    '{"type":"state_sync","data":[{}]}',
    '{"type":"joint_update","data":5}',
    b"\x03",
]
HARMLESS = [
    '{"type":"webrtc_offer","offer":"x"}',
    f'{{"type":"heartbeat_ack","server_mono_ns":{LARGE}}}',
    f'{{"type":"participant_joined","participant":{LARGE}}}',
]
STOP = '{"type":"emergency_stop","reason":"hand","source":"x","estop_latched":true}'
JOINED = '{"type":"joined","resume":"r","estop_latched":false,"server_mono_ns":1}'


class Server:
    """Says the same to everybody who joins, and keeps what it is told."""

    def __init__(self, before: Sequence[str | bytes], after: Sequence[str | bytes]) -> None:
        self.before, self.after = before, after
        self.told: list[Any] = []
        self.sockets: list[ServerConnection] = []

    async def __call__(self, socket: ServerConnection) -> None:
        await socket.recv()
        self.sockets.append(socket)
        for data in (*self.before, JOINED, *self.after):
            await socket.send(data)
        async for data in socket:
            self.told.append(data)


@contextlib.asynccontextmanager
async def serving(
    before: Sequence[str | bytes] = (), after: Sequence[str | bytes] = ()
) -> AsyncIterator[tuple[Server, AsyncArena]]:
    room = Server(before, after)
    async with serve(room, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with AsyncArena(f"http://127.0.0.1:{port}") as arena:
            yield room, arena


@pytest.mark.parametrize("kind", ["join_robotics", "join_video"])
async def test_after_whatever_is_said_an_estop_is_heard(kind: str) -> None:
    async with serving(after=[*ODD, *HARMLESS, STOP]) as (_, arena), getattr(arena, kind)("w", "r") as room:
        await until(lambda: room.estop_latched)
        assert room.is_live and room.link.failure is None and not room.counters["reconnects"]
        if kind == "join_robotics":
            assert room.counters["malformed"] == len(ODD) - 1, "a joint room takes no pictures"
        else:
            assert room.counters["malformed"] >= 3


async def test_what_is_odd_before_the_welcome_keeps_nobody_out() -> None:
    async with serving(before=ODD[:2]) as (_, arena), arena.join_robotics("w", "r") as room:
        assert room.is_live and room.counters["malformed"] == 2


async def test_a_fault_of_our_own_is_told_and_ends_the_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as (server, arena):
        room = arena.join_robotics("w", "r")
        changes: list[bool] = []
        room.on_change = lambda is_up, reason: changes.append(is_up)
        await room.open()

        async def failing(*_: Any) -> Any:
            raise RuntimeError("mine")

        monkeypatch.setattr(links, "open_socket", failing)
        waiting = asyncio.create_task(room.next())
        await server.sockets[0].close()
        with pytest.raises(ArenaError, match="mine"):
            await asyncio.wait_for(waiting, 30)
        assert changes[0] is True and changes[-1] is False and not room.is_live
        assert any(record.exc_info for record in caplog.records if record.levelno >= logging.ERROR)
        await room.close()


async def test_what_cannot_be_written_keeps_no_estop_back() -> None:
    async with serving() as (server, arena), arena.join_video("w", "r", role="producer") as room:
        room.send_frame(b"\xff\xd8\xff\xd9", stamp_ns=-1)
        await until(lambda: room.counters["unsent"] == 1)
        stopping = asyncio.create_task(room.emergency_stop("hand", timeout_s=30))
        await until(lambda: any("emergency_stop" in str(data) for data in server.told))
        await server.sockets[0].send(STOP)
        await stopping


async def test_a_heartbeat_that_found_no_room_is_said_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "HEARTBEAT_S", 0.01)
    async with AsyncArena("http://127.0.0.1:9") as arena:
        link = arena.join_robotics("w", "r").link
        link._is_joined = True
        assert all(link.say({"type": "x"}) for _ in range(MOST_CONTROLS))
        assert not link.say({"type": "x"})
        beating = asyncio.create_task(link._beat())
        await until(lambda: link.counters["unsent"] >= 3)
        said = [json.loads(await link.outgoing.take())["type"] for _ in range(MOST_CONTROLS)]
        assert said == ["x"] * MOST_CONTROLS
        assert json.loads(await asyncio.wait_for(link.outgoing.take(), 30)) == {"type": "heartbeat"}
        beating.cancel()
