# SPDX-License-Identifier: Apache-2.0
"""Clients that trickle, hang or lie, on real sockets."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from lerobot_arena.bridge import connections, size_limit
from lerobot_arena.bridge.access import MAX_BODY_BYTES, Need, Row
from lerobot_arena.bridge.connections import MOST_PER_NETWORK, Door
from lerobot_arena.bridge.server import open_socket, serve, warnings_of
from lerobot_arena.core.errors import TooLarge, Unavailable
from lerobot_arena.testing.bridge_rig import Rig, make_settings, open_rig, until
from lerobot_arena.testing.certificates import make_certificate

TRICKLERS = 200
HEAD_S = 1.0


@contextlib.asynccontextmanager
async def served(data_dir: Path, door: Door | None = None, **changes: Any) -> AsyncIterator[tuple[str, int]]:
    """The app on a free port of this machine."""
    async with served_rig(data_dir, door, **changes) as (_, address):
        yield address


@contextlib.asynccontextmanager
async def served_rig(
    data_dir: Path, door: Door | None = None, **changes: Any
) -> AsyncIterator[tuple[Rig, tuple[str, int]]]:
    """The same, and what is behind it."""
    async with open_rig(data_dir, **{"bridge_port": 0, **changes}) as rig:
        listener = open_socket(rig.services.settings)
        listener.listen(512)
        ending = asyncio.Event()
        serving = asyncio.create_task(serve(rig.app, listener, ending, door=door))
        try:
            yield rig, listener.getsockname()[:2]
        finally:
            ending.set()
            await serving


async def trickle(address: tuple[str, int], text: bytes, pause_s: float = 0.05) -> float:
    """Send a byte at a time; how many seconds until the server had enough."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(*address)
    began = loop.time()
    try:
        async with asyncio.timeout(30):
            gone = asyncio.create_task(reader.read())
            for byte in text:
                writer.write(bytes([byte]))
                if (await asyncio.wait({gone}, timeout=pause_s))[0]:
                    break
            await gone
    except ConnectionError:
        pass
    finally:
        writer.close()
    return loop.time() - began


async def test_two_hundred_clients_that_trickle_their_request_disturb_nobody(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Addresses of this machine stand for others here, so that the door counts them.
    monkeypatch.setattr(connections, "is_loopback", lambda _: False)
    monkeypatch.setattr(connections, "MOST_PER_NETWORK", 2 * TRICKLERS)
    # Long enough that all of them are there at once, also where connecting takes its time.
    door = Door(behind_proxy=False, head_s=4.0)
    async with served(data_dir, door) as address:
        gc.collect()
        before = psutil.Process(os.getpid()).memory_info().rss
        head = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Slow: y\r\n" * 500
        clients = [asyncio.create_task(trickle(address, head)) for _ in range(TRICKLERS)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}") as http:
            await until(lambda: door.count >= TRICKLERS)
            for _ in range(20):
                answer = await http.post("/api/control/estop", timeout=10.0)
                assert answer.status_code == 200
        lasted_s = await asyncio.gather(*clients)
        gc.collect()
        grown = psutil.Process(os.getpid()).memory_info().rss - before
    assert max(lasted_s) < door.head_s + 10.0, "a head that trickles in is not waited for"
    assert grown < 20_000_000, f"{grown} bytes more"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /api/control/estop HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        # The answer comes before the body, which then goes on for ever.
        b"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n\r\n" + b"x" * 400,
    ],
    ids=["silent", "half a head", "a body after the answer"],
)
async def test_no_connection_is_held_for_nothing(
    data_dir: Path, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size_limit, "BODY_S", HEAD_S)
    async with served(data_dir, Door(behind_proxy=False, head_s=HEAD_S)) as address:
        assert await trickle(address, sent, pause_s=0.01) < 3 * HEAD_S + 6.0


async def test_a_body_that_trickles_in_is_408(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "BODY_S", 0.3)
    async with served(data_dir) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{")
        answer = await asyncio.wait_for(reader.read(300), 5)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 2\r\n\r\n{",
        b"Content-Length: 2000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_an_estop_waits_for_no_body(data_dir: Path, rest: bytes) -> None:
    async with served_rig(data_dir) as (rig, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /api/control/estop HTTP/1.1\r\nHost: 127.0.0.1\r\n" + rest)
        answer = await asyncio.wait_for(reader.read(300), 10)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert ("arm", "estop") in rig.fake.calls


async def test_silent_connections_keep_no_estop_out(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Addresses of this machine stand for others here, as a test has no others.
    monkeypatch.setattr(connections, "is_loopback", lambda _: False)
    monkeypatch.setattr(connections, "MOST_FOREIGN", 20)
    door = Door(behind_proxy=False, head_s=60.0)
    async with served_rig(data_dir, door) as (rig, address):
        silent = [await asyncio.open_connection(*address) for _ in range(20)]
        await until(lambda: door.count == 20)
        reader, writer = await asyncio.open_connection(*address, local_addr=("127.0.0.2", 0))
        writer.write(b"POST /api/control/estop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(300), 10)
        assert answer.startswith(b"HTTP/1.1 200 ") and ("arm", "estop") in rig.fake.calls
        assert door.count == 20
        for _, each in [*silent, (reader, writer)]:
            each.close()


async def test_a_huge_head_is_refused(data_dir: Path) -> None:
    async with served(data_dir) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"y" * 200_000)
        answer = await asyncio.wait_for(reader.read(300), 5)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 400 ")


async def test_x_forwarded_for_makes_nobody_local_or_anybody_else(data_dir: Path) -> None:
    async with (
        served(data_dir) as address,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}") as http,
    ):
        assert (await http.get("/sessions")).status_code == 200
        for headers in (
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"X-Real-IP": "127.0.0.1"},
            {"Via": "1.1 proxy"},
        ):
            assert (await http.get("/sessions", headers=headers)).status_code == 401


class Visitor:
    """A connection that asks for something, until it is told to be idle."""

    is_gone = False

    def __init__(self, *, idle: bool = False) -> None:
        self.idle = idle

    def is_idle(self) -> bool:
        return self.idle

    def send_away(self) -> None:
        self.is_gone = True


def test_other_machines_get_so_many_connections_and_this_one_as_many_as_it_likes() -> None:
    door = Door(behind_proxy=False)
    first = Visitor()
    assert door.enter("10.0.0.9", first)
    assert all(door.enter("10.0.0.9", Visitor()) for _ in range(MOST_PER_NETWORK - 1))
    assert not door.enter("10.0.0.9", Visitor()) and door.enter("10.0.0.10", Visitor())
    assert all(door.enter("::1", Visitor()) for _ in range(10 * MOST_PER_NETWORK))
    for _ in range(2):
        door.leave(first)
    assert door.enter("10.0.0.9", Visitor()) and not door.enter("10.0.0.9", Visitor())
    behind_proxy = Door(behind_proxy=True)
    assert all(behind_proxy.enter("10.0.0.9", Visitor()) for _ in range(10 * MOST_PER_NETWORK))
    # One customer has a whole IPv6 network of addresses.
    assert all(door.enter(f"2001:db8::{number:x}", Visitor()) for number in range(MOST_PER_NETWORK))
    assert not door.enter("2001:db8::2:3:4:5", Visitor())


def test_when_it_is_full_the_oldest_that_asks_for_nothing_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_FOREIGN", 6)
    door = Door(behind_proxy=False)
    lone, busy, silent = Visitor(idle=True), Visitor(), [Visitor(idle=True) for _ in range(4)]
    for address, visitor in (
        ("10.0.0.1", lone),
        ("10.0.0.2", busy),
        *(("10.0.0.2", each) for each in silent),
    ):
        assert door.enter(address, visitor)
    for number in range(4):
        assert door.enter(f"10.0.1.{number}", Visitor())
        assert [each.is_gone for each in silent] == [True] * (number + 1) + [False] * (3 - number)
    assert not lone.is_gone and not busy.is_gone
    assert door.enter("10.0.2.1", Visitor()) and lone.is_gone
    assert not door.enter("10.0.2.2", Visitor()) and not busy.is_gone


def own_address() -> str:
    """An address of this machine that is not loopback; without a network of its own there is none."""
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family is socket.AF_INET and not entry.address.startswith("127."):
                return entry.address
    pytest.skip("this machine has no address but loopback")


async def test_a_bridge_on_the_network_knows_its_own_machine_by_loopback_only(data_dir: Path) -> None:
    address = own_address()
    async with served(data_dir, bridge_host=address) as (_, port):
        async with httpx.AsyncClient(base_url=f"http://{address}:{port}") as far:
            assert (await far.get("/health")).status_code == 200
            assert (await far.get("/sessions")).status_code == 401
            assert (await far.post("/api/control/estop")).status_code == 401
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as near:
            assert (await near.get("/sessions")).status_code == 200
            assert (await near.post("/api/control/estop")).status_code == 200


def test_a_person_is_told_what_an_open_bridge_means(tmp_path: Path) -> None:
    def told(**changes: Any) -> str:
        return " ".join(warnings_of(make_settings(tmp_path, **changes)))

    assert told() == ""
    assert "plain HTTP" in told(bridge_host="0.0.0.0")
    assert "past the proxy" in told(bridge_host="0.0.0.0", behind_proxy=True)
    assert told(behind_proxy=True) == ""


async def test_with_a_certificate_it_speaks_tls_and_nothing_else(data_dir: Path, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with served(data_dir, tls_cert=certificate, tls_key=key) as (_, port):
        async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trusting) as http:
            assert (await http.get("/sessions")).status_code == 200
            own = {"Origin": f"https://127.0.0.1:{port}"}
            assert (await http.post("/api/control/estop", headers=own)).status_code == 200
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as plain:
            with pytest.raises(httpx.TransportError):
                await plain.get("/sessions")


async def test_a_certificate_that_is_none_is_named(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("not a certificate")
    with pytest.raises(Unavailable, match=r"cert\.pem"):
        async with served(data_dir, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "cert.pem"):
            raise AssertionError("it serves")


async def test_an_upload_is_counted_piece_by_piece_where_a_row_allows_a_large_one() -> None:
    row = Row(method="POST", path="/x", need=Need.PUBLIC, body_bytes=2 * MAX_BODY_BYTES)
    pieces = [b"x" * 500_000] * 5
    read = 0

    async def receive() -> Any:
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        nonlocal read
        while (message := await receive())["more_body"]:
            read += len(message["body"])

    async def send(_message: Any) -> None:
        raise AssertionError("nothing is answered here")

    with pytest.raises(TooLarge):
        await size_limit.SizeLimit(app)(
            {"type": "http", "path": "/x", "access": row, "headers": []}, receive, send
        )
    assert read == 2 * MAX_BODY_BYTES
