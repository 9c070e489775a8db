# SPDX-License-Identifier: Apache-2.0
"""The gate before the Foxglove server, over real sockets, with a plain echo or flood behind it."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.inspection.gate import Gate

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Behind:
    """A server that does one thing with each connection, on a thread per connection."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._serve(connection)

    def close(self) -> None:
        self.listener.close()
        for connection in self.connections:
            connection.close()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def flood(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    while True:
        connection.sendall(b"x" * (1 << 16))


@pytest.fixture
def made() -> Iterator[Callable[..., tuple[Gate, list[str]]]]:
    opened: list[Any] = []

    def make(serve: Callable[[socket.socket], None] = echo, **options: Any) -> tuple[Gate, list[str]]:
        behind, said = Behind(serve), list[str]()
        given: dict[str, Any] = {"origins": ["https://ok"], "max_clients": 4, "stall_s": 5.0} | options
        gate = Gate(("127.0.0.1", 0), behind.listener.getsockname(), on_refusal=said.append, **given)
        opened.extend((gate, behind))
        return gate, said

    yield make
    for item in opened:
        item.close()


def visitor(gate: Gate, head: bytes = HEAD) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gate.port), timeout=10.0)
    connection.sendall(head)
    return connection


def take(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (part := connection.recv(1 << 20)):
        found += part
    return found


def test_what_is_sent_arrives_whole_and_in_order(made: Any) -> None:
    gate, said = made()
    data = os.urandom(3_000_000)
    with visitor(gate) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert take(client, len(HEAD) + len(data)) == HEAD + data
        sender.join()
    assert said == []


@pytest.mark.parametrize(
    "head",
    [HEAD[:-2] + b"Origin: https://evil.example\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n", b"x" * 20_000],
    ids=["foreign page", "another protocol", "endless head"],
)
def test_a_refused_visitor_is_told_and_reaches_nothing(made: Any, head: bytes) -> None:
    reached: list[int] = []
    gate, said = made(lambda connection: reached.append(1))
    with visitor(gate, head) as client, contextlib.suppress(ConnectionResetError):
        assert take(client, 1 << 20).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert reached == [] and len(said) == 1


def test_there_is_room_for_so_many(made: Any) -> None:
    gate, _ = made(max_clients=1)
    with visitor(gate) as first:
        assert take(first, len(HEAD)) == HEAD
        with visitor(gate) as second:
            assert b"1 clients are connected already" in take(second, 1 << 20)
        first.sendall(b"still here")
        assert take(first, 10) == b"still here"


def test_who_takes_nothing_is_let_go_and_slows_nobody(made: Any) -> None:
    gate, said = made(flood, stall_s=1.0)
    with visitor(gate) as stuck, visitor(gate) as reader:
        end, got = time.monotonic() + 2.0, 0
        while time.monotonic() < end:
            got += len(reader.recv(1 << 20))
        assert got > 20_000_000, "a flood of at least 10 MB/s"
        deadline = time.monotonic() + 10.0
        while not said and time.monotonic() < deadline:
            got += len(reader.recv(1 << 20))
        assert len(said) == 1 and "took nothing for 1 s" in said[0]
        left = 0
        with contextlib.suppress(ConnectionResetError):
            while part := stuck.recv(1 << 20):
                left += len(part)
        assert left < 16_000_000, "what waited for it is bounded"
        assert reader.recv(1 << 10)


def test_what_is_sent_while_the_gate_is_held_comes_after(made: Any) -> None:
    gate, _ = made()
    with visitor(gate) as client:
        take(client, len(HEAD))
        with gate.held():
            client.sendall(b"later")
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(5)
        client.settimeout(5.0)
        assert take(client, 5) == b"later"


def test_a_closed_gate_ends_every_visit_and_frees_its_port(made: Any) -> None:
    gate, _ = made()
    with visitor(gate) as client:
        take(client, len(HEAD))
        port = gate.port
        gate.close()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    socket.create_server(("127.0.0.1", port)).close()


def test_a_port_that_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(Unavailable, match="choose another"):
        Gate(
            ("127.0.0.1", other.getsockname()[1]), ("127.0.0.1", 1), origins=(), max_clients=1,
            stall_s=1.0, on_refusal=print,
        )  # fmt: skip
