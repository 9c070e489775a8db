# SPDX-License-Identifier: Apache-2.0
"""Request bodies have a size; a larger one is refused before it is in memory."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lerobot_arena.bridge import errors
from lerobot_arena.bridge.access import MAX_BODY_BYTES, Row
from lerobot_arena.core.errors import TooLarge


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
        max_bytes = row.body_bytes if row is not None else MAX_BODY_BYTES
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > max_bytes:
            await _refuse(scope, receive, send, max_bytes)
            return
        if max_bytes > MAX_BODY_BYTES:
            await self._app(scope, _counting(receive, max_bytes), send)
            return
        # Read here, so that no route sees half a body.
        body, is_whole = b"", False
        while not is_whole:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            is_whole = not message.get("more_body", False)
            if len(body) > max_bytes:
                await _refuse(scope, receive, send, max_bytes)
                return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


def _counting(receive: Receive, max_bytes: int) -> Receive:
    """A twin of `receive` for routes that take uploads piece by piece; it raises TooLarge."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
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
