# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on the way: every shape of refusal, servers that are stuck, gone or none of ours, and the e-stop."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.bridge.errors import STATUS_OF
from lerobot_arena.client import Arena, failures
from lerobot_arena.client.address import bridge_url, socket_url, url_of
from lerobot_arena.client.call import Call, as_object
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.transport import BlockingTransport
from lerobot_arena.core import errors
from lerobot_arena.core.errors import (
    ArenaError,
    InvalidInput,
    NotAnswering,
    TooMany,
    Unauthorized,
    Unavailable,
)
from lerobot_arena.testing.raw_server import RawServer, Reply, answer


@pytest.fixture
def serving() -> Iterator[Callable[[Reply], RawServer]]:
    servers: list[RawServer] = []

    def make(reply: Reply) -> RawServer:
        servers.append(RawServer(reply))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("body", "said", "code"),
    [
        ({"detail": "Not now.", "code": "estop_latched"}, "Not now.", "estop_latched"),
        ({"detail": "Not now.", "causes": ["a", "b"]}, "Not now.\n  - a\n  - b", ""),
        ({"error": "The name is taken."}, "The name is taken.", ""),
        (
            {"error": "conflict", "message": "The name is taken.", "details": {"name": "x"}},
            "The name is taken.",
            "",
        ),
        (
            {"detail": [{"loc": ["body", "a", 0], "msg": "is odd"}, {"loc": [], "msg": "b"}]},
            "a.0: is odd; b",
            "",
        ),
        ([1, 2], "[1, 2]", ""),
        (b"<html>gone</html>", "<html>gone</html>", ""),
        (b"", "nothing", ""),
    ],
)
def test_every_shape_of_refusal_is_a_sentence(body: Any, said: str, code: str) -> None:
    error = failures.failure_of(409, body if isinstance(body, bytes) else json.dumps(body).encode(), {})
    assert type(error) is errors.Conflict and str(error).startswith(said)
    assert error.code == (code or "conflict")


def test_the_bridges_statuses_are_its_errors_again() -> None:
    for kind, status in STATUS_OF:
        found = failures.failure_of(status, b'{"detail": "x"}', {})
        assert issubclass(kind, type(found)) or kind in {errors.PolicyError, ArenaError}, kind


@given(st.integers(300, 599), st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_refusal_is_an_arena_error(status: int, body: bytes) -> None:
    assert str(failures.failure_of(status, body, {"Retry-After": body[:9].decode("latin-1")}))


KEYS = st.sampled_from(["detail", "error", "message", "details", "causes", "code", "loc", "msg"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=4),
    max_leaves=9,
)


@given(JSON)
def test_any_json_refusal_is_an_arena_error(content: Any) -> None:
    assert str(failures.failure_of(400, json.dumps(content).encode(), {}))


def test_reads_wait_as_they_are_told_and_verbs_are_never_sent_again(serving: Any) -> None:
    busy = answer(429, {"detail": "Too often."}, "Retry-After: 0.1\r\n")
    good = answer(200, {"status": "healthy"})
    server = serving(lambda _: busy if len(server.requests) < 3 else good)
    with Arena(server.url, "t") as arena:
        begin = time.monotonic()
        assert arena.health()["status"] == "healthy"
        assert time.monotonic() - begin >= 0.2 and len(server.requests) == 3
        assert b"authorization: bearer t" in server.requests[0].lower()
        for status, kind in ((429, TooMany), (503, Unavailable)):
            server.reply = lambda _, status=status: answer(status, {"detail": "x"}, "Retry-After: 0\r\n")
            before = len(server.requests)
            for verb in (arena.control.start, arena.control.resume, arena.control.estop):
                with pytest.raises(kind):
                    verb()
            with pytest.raises(kind):
                arena.sessions.start("s")
            assert len(server.requests) == before + 4
            with pytest.raises(kind):
                arena.health()
            assert len(server.requests) == before + 8, "a read is asked at most four times"
        # Whoever is told to come back in an hour is told so, at once.
        server.reply = lambda _: answer(429, {"detail": "x"}, "Retry-After: 3000\r\n")
        with pytest.raises(TooMany) as told:
            arena.health()
        assert told.value.retry_after_s == 3000


def test_a_connection_that_breaks_in_a_verb_is_not_tried_again(serving: Any) -> None:
    server = serving(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    with Arena(server.url) as arena:
        with pytest.raises(Unavailable):
            arena.sessions.start("s")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply", [b"SSH-2.0-OpenSSH\r\n", answer(200, b"<html>"), answer(200, [1]), answer(204, b"")]
)
def test_what_is_no_bridge_is_said_to_be_none(serving: Any, reply: bytes) -> None:
    with Arena(serving(lambda _: reply).url) as arena, pytest.raises(Unavailable):
        arena.sessions.get("s")


def hang(arena: Arena) -> None:
    with contextlib.suppress(ArenaError, RuntimeError):  # the client is closed meanwhile
        arena.health()


def test_an_estop_at_a_stuck_server_ends_in_time(serving: Any) -> None:
    server = serving(lambda _: None)
    with Arena(server.url) as arena:
        # Other calls hang, and more than the pool of connections holds.
        for _ in range(40):
            threading.Thread(target=hang, args=(arena,), daemon=True).start()
        begin = time.monotonic()
        with pytest.raises(NotAnswering):
            arena.estop(timeout_s=0.5)
        assert time.monotonic() - begin < 10.0
        sent = [request for request in server.requests if request.startswith(b"POST /api/control/estop")]
        assert len(sent) == 1


def test_a_trickling_answer_ends_in_time(serving: Any) -> None:
    server = serving(lambda _: answer(200, b" " * 1000)[:-900])
    call = Call("GET", "/health", as_object, timeout_s=0.5)
    server.trickle = b" "
    transport = BlockingTransport(Connection(server.url))
    begin = time.monotonic()
    with pytest.raises(NotAnswering):
        transport.send(call)
    assert time.monotonic() - begin < 10.0
    transport.close()


def test_no_proxy_stands_before_loopback(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serving(lambda _: answer(200, {"emergency_stop": True, "state": "emergency", "arms": {}}))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Arena(server.url) as arena:
        assert arena.estop()["emergency_stop"] is True
        assert arena.control.reset()
        # A name that is not loopback goes through the proxy, also in an emergency.
        with Arena("http://robot.invalid:8001") as far, pytest.raises(Unavailable):
            far.estop(timeout_s=1.0)


def test_a_token_that_ran_out_does_not_stop_an_estop_on_loopback(serving: Any) -> None:
    def reply(request: bytes) -> bytes:
        if b"authorization" in request.lower():
            return answer(401, {"detail": "Log in again."})
        return answer(200, {"emergency_stop": True, "state": "emergency", "arms": {}})

    server = serving(reply)
    with Arena(server.url, "old") as arena:
        assert arena.estop()["emergency_stop"] is True
        with pytest.raises(Unauthorized):
            arena.control.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_token_elsewhere(serving: Any, status: int) -> None:
    thief = serving(lambda _: answer(200, {"status": "healthy"}))
    server = serving(lambda _: answer(status, b"", f"Location: {thief.url}/health\r\n"))
    with Arena(server.url, "secret") as arena:
        joined, cycles = arena.join_robotics("w", "r"), arena.telemetry.live(reconnect=False)
        for call in (arena.health, arena.estop, joined.open, lambda: next(cycles)):
            with pytest.raises(ArenaError, match=str(status)):
                call()
    assert thief.requests == []


def test_urls() -> None:
    for bad in (
        "localhost:8001",
        "ftp://x",
        "http://",
        "http://u:p@host",
        "http://host/?a=1",
        "http://host/#x",
    ):
        with pytest.raises(InvalidInput):
            bridge_url(bad)
    assert bridge_url("http://host:1/api/") == "http://host:1/api"
    for base in ("http://h", "http://h/api"):
        assert url_of(base, "/api/control/stop") == "http://h/api/control/stop"
        assert (
            socket_url(base, "/ws/telemetry", {"cameras": "", "arm": None}) == "ws://h/ws/telemetry?cameras="
        )
        assert url_of(base, "/auth/login") == "http://h/auth/login"
    assert url_of("http://h/api", "/sessions/a") == "http://h/api/sessions/a"
    assert url_of("http://h/api", "/sessionsx") == "http://h/sessionsx"
    assert socket_url("https://h/base/api", "/video/w") == "wss://h/base/api/video/w"
    for bad in ("", ".", ".."):
        with pytest.raises(InvalidInput):
            Arena("http://127.0.0.1:9").sessions.get(bad)


def test_an_estop_from_a_shell_imports_nothing_it_does_not_use() -> None:
    program = (
        "import sys\n"
        "from lerobot_arena.client.arena import Arena\n"
        "from lerobot_arena.core.errors import Unavailable\n"
        "import lerobot_arena.cli.control\n"
        "try:\n"
        "    Arena('http://127.0.0.1:9').estop()\n"
        "except Unavailable:\n"
        "    print(sorted({'httpx', 'websockets', 'asyncio', 'numpy'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
