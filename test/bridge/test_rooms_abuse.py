# SPDX-License-Identifier: Apache-2.0
"""Clients that do everything wrong against a server in its own process: memory is flat, others keep their pace."""

import asyncio
import base64
import json
import os
import random
import socket
import struct
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from lerobot_arena.testing.bridge_process import BridgeProcess
from lerobot_arena.testing.rooms_rig import RoomsRig

pytestmark = [pytest.mark.slow]
MANY_JOINTS = json.dumps(
    {"type": "joint_update", "data": [{"name": f"j{i}", "value": 1} for i in range(500)]}
)
SERVER = "lerobot_arena.testing.bridge_fake_server"
# Of the good pair, half of the time; a busy machine has its own delays, and whoever is held up waits for seconds.
PROMPT_S = 0.5


class Server(BridgeProcess):
    """The fake bridge's process."""

    def mib(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Whatever is done to it, its log has no traceback in the end."""
    made = Server(
        [sys.executable, "-m", SERVER, "--port", "0"], tmp_path_factory.mktemp("server") / "log.txt"
    )
    yield made
    made.end()


@pytest.fixture
async def rooms(server: Server) -> AsyncIterator[RoomsRig]:
    async with httpx.AsyncClient(base_url=f"http://{server.host}", timeout=20) as http:
        yield RoomsRig(None, None, http, server.host)  # type: ignore[arg-type]


class Pair:
    """A producer and a consumer that go on as if nothing were, at 50 Hz, and how late each value came."""

    def __init__(self, rig: RoomsRig, room: str) -> None:
        self.rig, self.room, self.delays_s = rig, room, list[float]()

    async def run(self, ending: asyncio.Event) -> None:
        async with (
            self.rig.join("good", self.room, "p", "producer") as producer,
            self.rig.join("good", self.room, "c") as consumer,
        ):
            while not ending.is_set():
                begin = time.monotonic()
                await producer.joints(a=begin % 300)
                update = await consumer.until("joint_update")
                assert update["data"] == [{"name": "a", "value": begin % 300}]
                self.delays_s.append(time.monotonic() - begin)
                await asyncio.sleep(0.02)  # a producer at 50 Hz


async def beside(rig: RoomsRig, work: Any) -> list[float]:
    """Delays of a good pair while `work` goes on."""
    room = f"r{random.randrange(10**9)}"
    await rig.make("good", room)
    ending, pair = asyncio.Event(), Pair(rig, room)
    running = asyncio.create_task(pair.run(ending))
    await work
    ending.set()
    await running
    return sorted(pair.delays_s)


def rubbish(chance: random.Random) -> str | bytes:
    """One malformed message of many kinds, some of them large."""
    value: Any = chance.choice([None, "x", [], {}, 1e9, "NaN", True, -1000, "y" * 500])
    kinds: tuple[Callable[[], str | bytes], ...] = (
        lambda: "",
        lambda: "{",
        lambda: '{"type":"joint_update","data":[{"name":"a","value":NaN}]}',
        lambda: json.dumps({"type": "joint_update", "data": [{"name": "a", "value": value}]}),
        lambda: json.dumps({"type": "joint_update", "data": value}),
        lambda: json.dumps({"type": value}),
        lambda: '{"type":"heartbeat","x":' + "[" * 3000 + "]" * 3000 + "}",
        lambda: chance.randbytes(chance.randrange(200)),
        lambda: MANY_JOINTS,
        lambda: '{"type":"joint_update","data":[{"name":"' + "n" * 60_000 + '","value":1}]}',
        lambda: "z" * 100_000,
        lambda: json.dumps({"type": "joint_update", "data": [], "seq": value, "age_ms": value}),
    )
    return chance.choice(kinds)()


@pytest.mark.timeout(180)
async def test_ten_thousand_malformed_messages(rooms: RoomsRig, server: Server) -> None:
    await rooms.make("bad", "r")
    await rooms.make("bad", "v", kind="video")
    chance = random.Random(5)

    async def abuse(kind: str, room: str, count: int, *, reads: bool) -> None:
        sent = 0
        while sent < count:
            async with rooms.join("bad", room, "p", "producer", kind=kind) as client:
                errors = asyncio.create_task(drain(client.socket)) if reads else None
                try:
                    while sent < count:
                        await client.socket.send(rubbish(chance))
                        sent += 1
                        await asyncio.sleep(0)  # the other clients' turn
                except ConnectionClosed:
                    sent += 1
                if errors is not None:
                    errors.cancel()

    async def drain(socket: Any) -> None:
        async for text in socket:
            assert json.loads(text)["type"] == "error"

    async def both(count: int) -> None:
        await asyncio.gather(
            abuse("robotics", "r", count // 2, reads=True), abuse("video", "v", count // 2, reads=False)
        )

    await both(1000)
    before = server.mib()
    delays = await beside(rooms, both(10_000))
    assert server.mib() - before < 15.0, "memory is flat"
    assert delays[len(delays) // 2] < PROMPT_S, delays[-5:]
    state = (await rooms.http.get(f"{rooms.room('bad', 'r')}/state")).json()["state"]
    assert state["joints"] == {}


def raw(server: Server, path: str) -> socket.socket:
    """A WebSocket whose client does nothing more after its handshake."""
    peer = socket.create_connection(("127.0.0.1", server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    peer.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += peer.recv(1)
    assert b" 101 " in answer
    return peer


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    assert len(payload) < 126
    head = struct.pack("!BB", opcode | (0x80 if fin else 0), 0x80 | len(payload))
    return head + b"\x00\x00\x00\x00" + payload


@pytest.mark.timeout(120)
async def test_sockets_that_never_join_or_answer_are_let_go_and_hold_up_nobody(
    rooms: RoomsRig, server: Server
) -> None:
    """Of a producer that joined and answers nothing, as when a cable is pulled, the slot is free after a ping."""
    await rooms.make("bad", "idle")
    await rooms.make("bad", "half")
    before = server.mib()
    with ExitStack() as opened:
        peers = [opened.enter_context(raw(server, f"{rooms.room('bad', 'idle')}/ws")) for _ in range(25)]
        half = opened.enter_context(raw(server, f"{rooms.room('bad', 'half')}/ws"))
        half.sendall(frame(1, b'{"participant_id":"p","role":"producer"}'))

        async def until_let_go() -> None:
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(40):
                for peer in peers:
                    peer.setblocking(False)
                    while await loop.sock_recv(peer, 4096):
                        continue

        async def until_free() -> None:
            begin = time.monotonic()
            async with asyncio.timeout(60):
                while await producer_of(rooms, "half") != "p":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # how often it looks; the bridge is another process
                while await producer_of(rooms, "half") is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)  # how often it looks
            assert 10.0 < time.monotonic() - begin < 60.0

        delays = await beside(rooms, asyncio.gather(until_let_go(), until_free()))
    assert delays[len(delays) // 2] < PROMPT_S
    assert server.mib() - before < 15.0
    assert (await rooms.http.get("/robotics/status")).json()["connections_count"] == 0


async def producer_of(rooms: RoomsRig, room: str) -> str | None:
    info = (await rooms.http.get(rooms.room("bad", room))).json()["room"]
    name: str | None = info["participants"]["producer"]
    return name


@pytest.mark.timeout(120)
async def test_tricks_with_frames_cost_nothing(rooms: RoomsRig, server: Server) -> None:
    """Empty pieces for ever, pings whose pongs nobody reads, messages beyond the bound, half a character."""
    await rooms.make("bad", "tricks")
    before = server.mib()
    join = frame(1, b'{"participant_id":"x","role":"consumer"}')

    async def is_cut(first: bytes, again: bytes, most: int) -> bool:
        loop, sent = asyncio.get_running_loop(), 0
        peer = raw(server, f"{rooms.room('bad', 'tricks')}/ws")
        peer.setblocking(False)
        block = again * max(1, 4096 // len(again))
        try:
            await loop.sock_sendall(peer, join + first)
            async with asyncio.timeout(30):
                while sent < most:
                    await loop.sock_sendall(peer, block)
                    sent += len(block)
            return False
        except TimeoutError:  # it reads no more, which is not the same
            return False
        except OSError:
            return True
        finally:
            peer.close()

    async def all_tricks() -> None:
        pieces, pings = frame(0, fin=False), frame(9, b"p" * 100)
        assert await is_cut(frame(1, fin=False), pieces, 6_000_000)
        assert await is_cut(b"", pings, 20_000_000)
        assert await is_cut(b"", frame(1, b"\xff\xfe"), 5_000_000)
        await asyncio.sleep(0.5)  # what the tricks left behind would show in the delays

    delays = await beside(rooms, all_tricks())
    async with rooms.join("bad", "tricks", "big") as client:
        await client.socket.send("y" * 2_000_000)
        code, _ = await client.closed()
        assert code == 1009
    assert delays[len(delays) // 2] < PROMPT_S
    assert server.mib() - before < 15.0


@pytest.mark.timeout(120)
async def test_a_consumer_that_never_reads_costs_nobody_anything(rooms: RoomsRig, server: Server) -> None:
    """It gets merged states; what it does not read of events closes it; the others get every value at once."""
    await rooms.make("bad", "stuck")
    before = server.mib()
    async with (
        rooms.join("bad", "stuck", "p", "producer") as producer,
        rooms.join("bad", "stuck", "good") as good,
        rooms.join("bad", "stuck", "stuck") as stuck,
    ):
        stuck.socket.transport.pause_reading()
        delays = []
        for index in range(3000):
            begin = time.monotonic()
            await producer.say(
                "joint_update", data=[{"name": f"j{i}", "value": index % 300} for i in range(40)]
            )
            update = await good.until("joint_update")
            delays.append(time.monotonic() - begin)
            assert "merged" not in update and update["data"][0]["value"] == index % 300
        assert sorted(delays)[len(delays) // 2] < PROMPT_S
        info = (await rooms.http.get(rooms.room("bad", "stuck"))).json()["room"]
        assert info["merged"] > 1000, (
            "it is the mailbox that holds it back, and neither the buffers nor the kernel"
        )
        assert server.mib() - before < 10.0
        stuck.socket.transport.resume_reading()
        newest, count = await stuck.until("joint_update"), 1
        while newest["data"][0]["value"] != 2999 % 300 or newest["seq"] != 3000:
            newest, count = await stuck.until("joint_update"), count + 1
        assert newest["merged"] > 1 and newest["age_ms"] > 0
        assert count < 1500, "the rest was never queued for it"


@pytest.mark.timeout(60)
async def test_a_killed_producer_frees_its_slot_at_once(rooms: RoomsRig, server: Server) -> None:
    await rooms.make("bad", "kill")
    program = f"""
        from websockets.sync.client import connect
        with connect("ws://{server.host}{rooms.room("bad", "kill")}/ws") as client:
            client.send('{{"participant_id":"p","role":"producer"}}')
            client.recv()
            print("joined", flush=True)
            client.recv()
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None and await process.stdout.readline() == b"joined\n"
    async with rooms.join("bad", "kill", "c") as consumer:
        process.kill()
        begin = time.monotonic()
        assert (await consumer.until("status_update"))["status"] == "producer_left"
        assert time.monotonic() - begin < 10.0, "the ping would take longer"
        async with rooms.join("bad", "kill", "q", "producer") as next_one:
            await next_one.joints(a=1.0)
            await consumer.until("joint_update")
    await process.wait()


def test_the_server_ended_none_the_worse(server: Server) -> None:
    """Last in the module: nobody is left inside. What it logged is looked at when it has ended."""
    with httpx.Client(base_url=f"http://{server.host}") as http:
        assert http.get("/robotics/status").json()["connections_count"] == 0
