# SPDX-License-Identifier: Apache-2.0
"""WebSockets stay open for hours; they end when the login, token or scope they were opened with does.

What may have ended is asked of the database: at once after a change in this process, else every EVERY_S.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lerobot_arena.bridge.access import Row
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts.identities import FRESH_S

_log = logging.getLogger(__name__)

EVERY_S = FRESH_S
MOST = 4096
_FAREWELL_S = 2.0
_CLOSE: Message = {"type": "websocket.close", "code": 1008, "reason": "access ended"}
_GONE: Message = {"type": "websocket.disconnect", "code": 1008, "reason": "access ended"}

ScopesNow = Callable[[Collection[Principal]], Mapping[Principal, frozenset[str]]]
"""What callers may do now, blocking; without those whose access ended. Raises Unavailable."""


class _Socket:
    """One of them: passes messages on until `end`, after which its route hears that the client left."""

    def __init__(self, caller: Principal, row: Row, receive: Receive, send: Send) -> None:
        self.caller, self.row = caller, row
        self._receive, self._send = receive, send
        self._is_asked = self._is_open = self._has_ended = False
        self._hearing: asyncio.Timeout | None = None

    async def receive(self) -> Message:
        """The next message. Costs one await: a time-out without a time is what `end` can interrupt."""
        if not self._is_asked:
            # The question for the socket itself, which is there already and which no route can do without.
            self._is_asked = True
            return await self._receive()
        if self._has_ended:
            return _GONE
        try:
            async with asyncio.timeout(None) as self._hearing:
                return await self._receive()
        except TimeoutError:
            if not self._has_ended:
                raise
            return _GONE
        finally:
            self._hearing = None

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] in {"websocket.accept", "websocket.close"}:
            self._is_open = message["type"] == "websocket.accept"
        await self._send(message)

    def end(self) -> None:
        """Nothing more is heard of the client."""
        has_ended, self._has_ended = self._has_ended, True
        if self._hearing is not None and not has_ended:
            self._hearing.reschedule(asyncio.get_running_loop().time())

    async def farewell(self) -> None:
        """Tell the client why, after the route has left by its usual path."""
        if self._has_ended and self._is_open:
            with contextlib.suppress(OSError, RuntimeError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._send(_CLOSE)


class OpenSockets:
    """Those of callers with an account; used on the event loop, but for `check_soon`."""

    def __init__(self, scopes_now: ScopesNow) -> None:
        self._scopes_now = scopes_now
        self._open: set[_Socket] = set()
        self._wake = asyncio.Event()
        self._checking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def check_room(self) -> None:
        """Raises Unavailable when there are too many."""
        if len(self._open) >= MOST:
            raise Unavailable(f"{MOST} WebSockets are open already. Close some.")

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, row: Row) -> None:
        """Let the app have the socket for as long as its caller may."""
        socket = _Socket(scope["principal"], row, receive, send)
        self._enter(socket)
        try:
            await app(scope, socket.receive, socket.send)
        finally:
            self._leave(socket)
        await socket.farewell()

    def check_soon(self) -> None:
        """Somebody's access may have ended; for any thread."""
        loop = self._loop
        if loop is not None:
            # A loop that was closed has no open sockets.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

    def _enter(self, socket: _Socket) -> None:
        self._open.add(socket)
        if self._checking is None:
            self._loop = asyncio.get_running_loop()
            self._checking = self._loop.create_task(self._check_for_ever())

    def _leave(self, socket: _Socket) -> None:
        self._open.discard(socket)
        if not self._open and self._checking is not None:
            self._checking.cancel()
            self._checking = None

    async def _check_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._check()
            except Unavailable:
                # Nobody is cut off because the database is: what they may do is as it was.
                continue
            except Exception:
                _log.exception("What open WebSockets may still do could not be found out")

    async def _check(self) -> None:
        asked = list(self._open)
        scopes = await asyncio.to_thread(self._scopes_now, {socket.caller for socket in asked})
        for socket in asked:
            now = scopes.get(socket.caller)
            if now is None or socket.row.refusal(replace(socket.caller, scopes=now)) is not None:
                socket.end()
