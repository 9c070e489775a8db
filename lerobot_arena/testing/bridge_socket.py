# SPDX-License-Identifier: Apache-2.0
"""Asks an app for a WebSocket in the test's own loop, and leaves as soon as it is accepted or refused."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import FastAPI

SWITCHING = 101


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
    shown = {"host": "127.0.0.1:8001", **(headers or {})}
    if token:
        shown["authorization"] = f"Bearer {token}"
    scope = {
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

    async with asyncio.timeout(10):
        await app(scope, receive, send)
    return httpx.Response(found["status"], headers=found["headers"], content=found["body"])
