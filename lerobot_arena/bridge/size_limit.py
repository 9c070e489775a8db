# SPDX-License-Identifier: Apache-2.0
"""Request bodies have a size; a larger one is refused before it is in memory."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lerobot_arena.bridge import errors
from lerobot_arena.bridge.access import MAX_BODY_BYTES, Need, Row
from lerobot_arena.core.errors import TooLarge

BODY_S = 30.0
"""How long a small body may take, and each piece of a large one."""


class SizeLimit:
    """ASGI middleware: 413 on a body over what the route's row in the access table takes, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        row: Row | None = scope.get("access")
        if row is not None and row.need is Need.ESTOP:
            # It uses no body, so it waits for none, however long the one announced.
            await self._app(scope, _empty(receive), send)
            return
        max_bytes = row.body_bytes if row is not None else MAX_BODY_BYTES
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > max_bytes:
            await _refuse(scope, receive, send, max_bytes)
            return
        if max_bytes > MAX_BODY_BYTES:
            await self._app(scope, _counting(receive, max_bytes), send)
            return
        # Read here, so that no route sees half a body.
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read(receive, max_bytes)
        except TimeoutError:
            late = f"The body did not arrive within {BODY_S:g} s."
            await errors.plain_answer(scope["path"], 408, late, "timeout")(scope, receive, send)
            return
        except TooLarge:
            await _refuse(scope, receive, send, max_bytes)
            return
        if body is None:
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def _empty(receive: Receive) -> Receive:
    """A twin of `receive` that tells of an empty body, and then of nothing but that the client left."""
    pending: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def without_body() -> Message:
        if pending:
            return pending.pop()
        while (message := await receive())["type"] == "http.request":
            continue
        return message

    return without_body


async def _read(receive: Receive, max_bytes: int) -> bytes | None:
    """The whole body; None when the client left. Raises TooLarge."""
    body, is_whole = bytearray(), False
    while not is_whole:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        is_whole = not message.get("more_body", False)
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _counting(receive: Receive, max_bytes: int) -> Receive:
    """A twin of `receive` for routes that take uploads piece by piece; raises TooLarge, and TimeoutError."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        async with asyncio.timeout(BODY_S):
            message = await receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes:
            raise _too_large(max_bytes)
        return message

    return counting


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes.")


async def _refuse(scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
    await errors.answer(scope["path"], _too_large(max_bytes))(scope, receive, send)
