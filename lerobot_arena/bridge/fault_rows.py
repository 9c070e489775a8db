# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault list that are the bridge's: tried on its own parts, without a server."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from lerobot_arena.bridge import access
from lerobot_arena.bridge.border import Border
from lerobot_arena.bridge.callers import Callers
from lerobot_arena.bridge.open_sockets import OpenSockets
from lerobot_arena.bridge.origin import OriginGuard
from lerobot_arena.bridge.outbox import MAX_EVENTS, Outbox
from lerobot_arena.bridge.rate_limit import RateLimits
from lerobot_arena.core.errors import Unauthorized
from lerobot_arena.core.principal import SESSIONS_OPERATE, SESSIONS_READ, Principal
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject

_EVENTS = 20_000


def client_never_reads(subject: Subject, claims: Claims) -> None:
    asyncio.run(_client_never_reads(claims))


async def _client_never_reads(claims: Claims) -> None:
    stuck, other, seen = Outbox(), Outbox(), 0
    for number in range(_EVENTS):
        for outbox in (stuck, other):
            outbox.put_event(f'{{"n":{number}}}', cycle_id=number)
            outbox.put_frame("front", b"jpeg")
        await other.take()
        seen += 1
    lost = _EVENTS - MAX_EVENTS
    event, _ = await stuck.take()
    claims.that(
        stuck.events_dropped == lost and f'"dropped":{lost}' in event.text,
        f"it is told that it lost {lost} of {_EVENTS} events",
        f"dropped {stuck.events_dropped}, told {event.text}",
    )
    claims.that(seen == _EVENTS and other.events_dropped == 0, "another client lost nothing")


_NEAR, _FAR = "127.0.0.1", "192.168.1.7"
_START, _ESTOP = "/api/control/start", "/api/control/estop"
_KNOWN = {
    "operator": Principal("olga", frozenset({SESSIONS_OPERATE}), via="token"),
    "reader": Principal("rita", frozenset({SESSIONS_READ}), via="token"),
}


def _identify(credential: str) -> Principal:
    if credential not in _KNOWN:
        raise Unauthorized("This token is not valid.")
    return _KNOWN[credential]


def _say_yes() -> dict[str, bool]:
    return {"done": True}


def _guarded() -> ASGIApp:
    """The bridge's border, as app.py puts it together, before two routes that say yes to everything."""
    routes = FastAPI()
    for path in (_START, _ESTOP):
        routes.add_api_route(path, _say_yes, methods=["POST"])
    callers = Callers(
        identify=_identify, known=lambda _: None, recall=lambda _: None, redeem_ticket=_identify
    )
    unlimited = RateLimits(address="", identity="", failures="")
    border = Border(
        routes,
        routes=routes,
        access=access.table(),
        callers=callers,
        limits=unlimited,
        note=lambda _: None,
        sockets=OpenSockets(lambda _: {}),
        behind_proxy=False,
    )
    return OriginGuard(border)


def _status(app: ASGIApp, path: str, address: str, headers: Mapping[str, str]) -> int:
    """What a POST is answered with."""
    answers: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": (address, 1234),
        "headers": [(name.lower().encode(), value.encode()) for name, value in {**_OWN, **headers}.items()],
    }

    async def ask() -> None:
        await app(scope, receive, send)

    asyncio.run(ask())
    return answers[0]


_OWN = {"Host": "127.0.0.1:8001"}
_REFUSED: tuple[tuple[str, str, Mapping[str, str], int], ...] = (
    ("from another site's page", _NEAR, {"Origin": "https://evil.example"}, 403),
    ("from an opaque origin", _NEAR, {"Origin": "null"}, 403),
    ("to a renamed host", _NEAR, {"Host": "evil.example:8001"}, 403),
    ("from another port of this machine", _NEAR, {"Origin": "http://127.0.0.1:9999"}, 403),
    ("without a token from another address", _FAR, {}, 401),
    ("without a token through a proxy on loopback", _NEAR, {"X-Forwarded-For": _NEAR}, 401),
    ("with a wrong token", _FAR, {"Authorization": "Bearer guessed"}, 401),
    ("with a token of another scope", _FAR, {"Authorization": "Bearer reader"}, 403),
)
_ACCEPTED: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("from no page on loopback", _NEAR, {}),
    ("from its own page", _NEAR, {"Origin": "http://127.0.0.1:8001"}),
    ("from loopback with a wrong token", _NEAR, {"Authorization": "Bearer guessed"}),
    ("from another address with any token", _FAR, {"X-API-Key": "reader"}),
)


def foreign_caller(subject: Subject, claims: Claims) -> None:
    app = _guarded()
    for what, address, headers, expected in _REFUSED:
        status = _status(app, _START, address, headers)
        claims.that(status == expected, f"a start {what}: {expected}", f"a start {what}: {status}")
    status = _status(app, _START, _FAR, {"Authorization": "Bearer operator"})
    claims.that(status == 200, "a start with the right token: passed on", f"with the right token: {status}")
    for what, address, headers in _ACCEPTED:
        status = _status(app, _ESTOP, address, headers)
        claims.that(status == 200, f"an e-stop {what}: accepted", f"an e-stop {what}: {status}")
    status = _status(app, _ESTOP, _FAR, {})
    claims.that(
        status == 401, "an e-stop of nobody from another address: 401", f"an e-stop of nobody: {status}"
    )


ROWS = (
    FaultRow(
        "D11",
        "a client of the stream never reads",
        "it loses its oldest, is told how many; nobody else",
        client_never_reads,
    ),
    FaultRow(
        "F11",
        "a start from another site's page, or without a token from another address",
        "401 or 403; an e-stop from loopback or with any token is accepted",
        foreign_caller,
    ),
)
