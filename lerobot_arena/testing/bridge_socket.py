# SPDX-License-Identifier: Apache-2.0
"""Asks an app for a WebSocket in the test's own loop: leaves as soon as it is answered, or holds it open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from fastapi import FastAPI

SWITCHING = 101


class HeldSocket:
    """A client that stays: what it was sent, and the code and reason with which it was closed."""

    def __init__(self) -> None:
        self.accepted = asyncio.Event()
        self.closed: tuple[int, str] | None = None
        self.sent: list[Any] = []
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})

    def say(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def receive(self) -> Any:
        return await self._inbox.get()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.accept":
            self.accepted.set()
        elif message["type"] == "websocket.close":
            self.closed = message["code"], message.get("reason", "")
        else:
            self.sent.append(message)


@contextlib.asynccontextmanager
async def hold_socket(
    app: FastAPI, path: str, *, token: str = "", query: str = "", address: str = "10.0.0.9"
) -> AsyncIterator[HeldSocket]:
    """An accepted socket, which the client leaves at the end."""
    held = HeldSocket()
    serving = asyncio.create_task(
        app(_scope(path, token=token, query=query, address=address), held.receive, held.send)
    )
    try:
        async with asyncio.timeout(10):
            await held.accepted.wait()
        yield held
        held.leave()
        await asyncio.wait_for(serving, 10)
    finally:
        serving.cancel()


def _scope(
    path: str, *, token: str, query: str, address: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    shown = {"host": "127.0.0.1:8001", **(headers or {})}
    if token:
        shown["authorization"] = f"Bearer {token}"
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in shown.items()],
        "client": (address, 1234),
        "server": ("127.0.0.1", 8001),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


async def ask_socket(
    app: FastAPI,
    path: str,
    *,
    token: str = "",
    query: str = "",
    address: str = "10.0.0.9",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """The refusal as an HTTP answer; status 101 when the socket was accepted."""
    is_answered = asyncio.Event()
    found: dict[str, Any] = {"status": 500, "headers": [], "body": b""}
    asked = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        for message in asked:
            return message
        await is_answered.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            found["status"] = SWITCHING
            is_answered.set()
        elif kind == "websocket.http.response.start":
            found["status"], found["headers"] = message["status"], message.get("headers", [])
        elif kind == "websocket.http.response.body":
            found["body"] += message.get("body", b"")
        elif kind == "websocket.close" and not is_answered.is_set():
            found["status"] = 403
            is_answered.set()

    scope = _scope(path, token=token, query=query, address=address, headers=headers)
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    return httpx.Response(found["status"], headers=found["headers"], content=found["body"])
