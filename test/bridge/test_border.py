# SPDX-License-Identifier: Apache-2.0
"""Nobody gets past the border who should not, and nobody is told more than that."""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from lerobot_arena.bridge.access import table
from lerobot_arena.bridge.route_map import routes_of
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts.api_tokens import ApiTokens
from lerobot_arena.platform.accounts.identities import FRESH_S, STALE_S
from lerobot_arena.platform.storage.database import connect
from lerobot_arena.testing.bridge_rig import PASSWORD, Rig, open_rig
from lerobot_arena.testing.bridge_socket import SWITCHING, ask_socket

FAR = ("10.0.0.9", 1234)


@pytest.fixture
async def far(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A caller on another machine."""
    transport = httpx.ASGITransport(rig.app, raise_app_exceptions=False, client=FAR)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as http:
        yield http


async def test_every_route_has_a_row(rig: Rig) -> None:
    known = table()
    keys = {
        (method, route.path) for route in routes_of(rig.app) for method in route.methods if method != "HEAD"
    }
    assert keys - set(known) == set(), "add a row to bridge/access.py for each"


async def test_a_stranger_may_look_at_the_door_only(far: httpx.AsyncClient, rig: Rig) -> None:
    await rig.create()
    assert (await far.get("/health")).status_code == 200
    for method, path in (
        ("GET", "/sessions"),
        ("POST", "/sessions"),
        ("POST", "/sessions/s/start"),
        ("POST", "/api/control/estop"),
        ("GET", "/api/telemetry/history"),
    ):
        answer = await far.request(method, path)
        assert answer.status_code == 401, (path, answer.text)
        assert (
            answer.headers["www-authenticate"].startswith("Bearer")
            and answer.json()["code"] == "unauthorized"
        )
    assert rig.fake.calls == []


async def test_an_unknown_path_is_404_and_a_wrong_method_405_for_strangers_too(
    far: httpx.AsyncClient,
) -> None:
    assert (await far.get("/sessions/a/b/c")).json() == {"detail": "Not Found", "code": "not_found"}
    for method, path in (("DELETE", "/health"), ("BREW", "/sessions")):
        answer = await far.request(method, path)
        assert answer.status_code == 405
        assert answer.json() == {"detail": "Method Not Allowed", "code": "method_not_allowed"}


async def test_a_route_without_a_row_answers_nobody(data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        rig.app.add_api_route("/forgotten", lambda: {"secret": 1}, methods=["PUT"])
        answer = await rig.http.put("/forgotten")
        assert answer.status_code == 403 and "access table" in answer.json()["detail"]
        # Added after the first request, when the map of routes was made.
        rig.app.add_api_route("/later", lambda: {"secret": 1}, methods=["PUT"])
        assert (await rig.http.put("/later")).status_code == 403


async def test_credentials_by_either_header_and_never_by_two(rig: Rig) -> None:
    token, other = await rig.user("olga"), await rig.user("otto")
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"authorization": f"bearer  {token} "},
        {"X-API-Key": token},
    ):
        async with rig.caller(headers=headers) as http:
            assert (await http.get("/auth/me")).json()["username"] == "olga"
    for headers, text in (
        ({"Authorization": f"Bearer {token}", "X-API-Key": other}, "several"),
        ({"Authorization": "Basic b2xnYTp4"}, "Basic"),
        ({"Authorization": "Bearer "}, "empty"),
        ({"X-API-Key": "x" * 5000}, "too long"),
        ({"Authorization": f"Bearer {token}x"}, "not valid"),
    ):
        async with rig.caller(headers=headers) as http:
            answer = await http.get("/sessions")
            assert (
                answer.status_code == 401
                and text in answer.json()["detail"].lower() + answer.json()["detail"]
            )


async def test_a_wrong_credential_is_401_at_the_machine_too_but_does_not_keep_one_from_logging_in(
    rig: Rig,
) -> None:
    await rig.user("olga")
    async with rig.caller("rr_live_nonsense", address="127.0.0.1") as http:
        assert (await http.get("/sessions")).status_code == 401
        assert (await http.get("/health")).status_code == 200
        login = await http.post("/auth/login", json={"username": "olga", "password": PASSWORD})
        assert login.status_code == 200
    async with rig.caller(login.json()["access_token"]) as http:
        assert (await http.get("/auth/me")).json()["via"] == "login"


async def test_a_socket_takes_a_ticket_once_and_a_request_none(rig: Rig) -> None:
    async with rig.caller(await rig.user("olga")) as http:
        ticket = (await http.post("/auth/ticket")).json()["ticket"]
    ask = functools.partial(ask_socket, rig.app, "/ws/telemetry")
    async with rig.caller() as http:
        assert (await http.get("/sessions", params={"ticket": ticket})).status_code == 401
    assert (await ask(query=f"arm=arm&ticket={ticket}")).status_code == SWITCHING
    again = await ask(query=f"arm=arm&ticket={ticket}")
    assert again.status_code == 401 and "www-authenticate" in again.headers
    assert (await ask()).status_code == 401


async def test_a_token_does_what_its_scopes_say_from_anywhere(rig: Rig) -> None:
    await rig.create()
    for address in ("10.0.0.9", "127.0.0.1"):
        async with rig.caller(await rig.user("reader", scopes=["sessions:read"]), address=address) as http:
            assert (await http.get("/sessions")).status_code == 200
            refused = await http.post("/sessions/s/stop")
            assert refused.status_code == 403 and "sessions:operate" in refused.json()["detail"]
            assert (await http.get("/debug/logs")).status_code == 403


async def test_loopback_is_not_trusted_where_it_is_said_not_to_be(data_dir: Path) -> None:
    async with open_rig(data_dir, trust_loopback=False) as rig:
        assert (await rig.http.get("/sessions")).status_code == 401
        assert (await rig.http.post("/api/control/estop")).status_code == 200
    async with open_rig(data_dir, behind_proxy=True) as rig:
        assert (await rig.http.get("/sessions")).status_code == 401
        assert (await rig.http.post("/api/control/estop")).status_code == 401


@pytest.mark.parametrize(
    ("address", "is_near"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.9", False),
     ("::ffff:10.0.0.9", False), ("fe80::1%eth0", False), ("testclient", False), ("", False)],
)  # fmt: skip
async def test_what_loopback_is(rig: Rig, address: str, is_near: bool) -> None:
    async with rig.caller(address=address) as http:
        assert (await http.get("/sessions")).status_code == (200 if is_near else 401)


@contextlib.contextmanager
def hanging(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, the database takes longer than any test before it fails."""
    go_on = threading.Event()

    def hang(credential: str) -> Principal:
        go_on.wait(30)
        raise OperationalError("select", {}, Exception("the database is gone"))

    monkeypatch.setattr(rig.services.callers, "_identify", hang)
    try:
        yield
    finally:
        go_on.set()


async def test_an_estop_does_not_wait_for_the_database(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    token, unknown = await rig.user("olga"), await rig.user("otto")
    login = (await rig.http.post("/auth/login", json={"username": "otto", "password": PASSWORD})).json()
    async with (
        rig.caller(token) as olga,
        rig.caller(login["access_token"]) as otto,
        rig.caller(unknown) as script,
    ):
        assert (await olga.get("/sessions")).status_code == 200
        rig.clock.advance(STALE_S - 1.0)
        # Olga was here a while ago, Otto's login says by itself whose it is; of a new token only the database knows.
        with hanging(rig, monkeypatch):
            for http, expected in ((olga, 200), (rig.http, 200), (otto, 200), (script, 503)):
                began = time.monotonic()
                answer = await http.post("/api/control/estop")
                assert answer.status_code == expected and time.monotonic() - began < 10.0
            assert "retry-after" in answer.headers


async def test_an_estop_is_not_for_tokens_that_another_process_revoked(rig: Rig) -> None:
    token, settings = await rig.user("olga"), rig.services.settings
    async with rig.caller(token) as olga:
        assert (await olga.post("/api/control/estop")).status_code == 200
        engine = connect(settings.database)
        await asyncio.to_thread(ApiTokens(engine, rig.clock, lambda _: None).revoke_all, "olga")
        engine.dispose()
        rig.clock.advance(FRESH_S + 0.1)
        assert (await olga.post("/api/control/estop")).status_code == 401


@pytest.mark.parametrize(
    ("version", "host", "is_near"),
    [("1.1", "127.0.0.1:8001", True), ("1.1", "localhost:8001", True), ("1.1", "[::1]:8001", True),
     ("1.0", "127.0.0.1:8001", False), ("1.1", "robot.example.org", False)],
)  # fmt: skip
async def test_a_proxy_that_adds_no_header_is_not_the_person_at_the_machine(
    data_dir: Path, version: str, host: str, is_near: bool
) -> None:
    async with open_rig(data_dir, allowed_hosts=("robot.example.org",)) as rig:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await rig.app({**scope, "http_version": version}, receive, send)

        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as http:
            answer = await http.get("/sessions", headers={"host": host})
            assert answer.status_code == (200 if is_near else 401)


async def test_every_answer_has_the_headers_that_keep_browsers_in_check(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async with rig.caller() as far:
        answers = [
            await rig.http.get("/health"),
            await far.get("/sessions"),
            await rig.http.get("/sessions", headers={"host": "evil.example"}),
            await rig.http.post("/sessions", content=b"x" * 1_000_001),
            await rig.http.get("/ui"),
            await rig.http.get("/docs"),
        ]
        monkeypatch.setattr(rig.services.book, "all", broken)
        answers.append(await rig.http.get("/health"))
    assert [answer.status_code for answer in answers] == [200, 401, 403, 413, 200, 200, 500]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "unsafe-eval" not in policy
        assert "script-src 'self' 'unsafe-inline'" not in policy
        if answer.headers["content-type"] == "application/json":
            assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answers[0].headers
