# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault list that are the bridge's: tried on its own parts, without a server."""

import asyncio
from typing import Any

from lerobot_arena.bridge.origin import OriginGuard
from lerobot_arena.bridge.outbox import MAX_EVENTS, Outbox
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


def _status(headers: dict[str, str], path: str = "/api/control/start") -> int:
    """What a POST with these headers is answered with."""
    answers: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answers.append(200)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(OriginGuard(app)(scope, receive, send))
    return answers[0]


def foreign_page(subject: Subject, claims: Claims) -> None:
    own = {"Host": "127.0.0.1:8001"}
    for what, headers in {
        "a POST from another site's page": {**own, "Origin": "https://evil.example"},
        "an opaque origin": {**own, "Origin": "null"},
        "a renamed host": {"Host": "evil.example:8001"},
        "another port of this machine": {**own, "Origin": "http://127.0.0.1:9999"},
    }.items():
        status = _status(headers)
        claims.that(status == 403, f"{what}: 403", f"{what}: {status}")
    for what, headers in {"no page": own, "its own page": {**own, "Origin": "http://127.0.0.1:8001"}}.items():
        status = _status(headers, "/api/control/estop")
        claims.that(status == 200, f"an e-stop from {what}: accepted", f"an e-stop from {what}: {status}")


ROWS = (
    FaultRow(
        "D11",
        "a client of the stream never reads",
        "it loses its oldest, is told how many; nobody else",
        client_never_reads,
    ),
    FaultRow(
        "F11",
        "a start from another site's page",
        "403; an e-stop from loopback is always accepted",
        foreign_page,
    ),
)
