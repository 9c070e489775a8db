# SPDX-License-Identifier: Apache-2.0
"""The border: every HTTP request and WebSocket is known, counted and allowed before anything of it is read.

Puts the caller into `scope["principal"]` and the access row into `scope["access"]`. Whose a thing is, its route knows.
"""

import logging
from collections.abc import Mapping

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lerobot_arena.bridge import errors
from lerobot_arena.bridge.access import Need, Row
from lerobot_arena.bridge.callers import Callers, Origin, origin_of
from lerobot_arena.bridge.crossings import Crossing, Note
from lerobot_arena.bridge.open_sockets import OpenSockets
from lerobot_arena.bridge.rate_limit import RateLimits
from lerobot_arena.bridge.route_map import RouteMap
from lerobot_arena.core.errors import ArenaError, Forbidden, InvalidInput, NotFound, Unauthorized
from lerobot_arena.core.principal import Principal

_log = logging.getLogger(__name__)

_READING = {"GET", "HEAD", "OPTIONS"}
_SWITCHING_PROTOCOLS, _FAILED = 101, 500


class Border:
    """ASGI middleware. 401, 403 and 429 in the surface's own words; a WebSocket is denied before it is accepted."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: FastAPI,
        access: Mapping[tuple[str, str], Row],
        callers: Callers,
        limits: RateLimits,
        note: Note,
        sockets: OpenSockets,
        behind_proxy: bool,
    ) -> None:
        """`routes` is the app whose routes are guarded; its middleware is made after the last route was added."""
        self._app, self._access, self._callers = app, access, callers
        self._limits, self._note, self._behind_proxy = limits, note, behind_proxy
        self._sockets = sockets
        self._routes = RouteMap(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = origin_of(scope, headers, behind_proxy=self._behind_proxy)
        scope["principal"] = self._callers.unproven(origin)
        try:
            row = self._row(scope)
            scope["access"] = row
            await self._admit(scope, headers, origin, row)
        except ArenaError as error:
            await self._refuse(scope, receive, send, error)
            return
        await self._witness(scope, receive, send)

    async def _witness(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on. The audit log is told of a changing call once, also of one that fails or is cancelled half-way."""
        if scope["type"] == "http" and scope["method"] in _READING:
            await self._pass_on(scope, receive, send)
            return
        status, is_told = 0, False

        def tell(outcome: int) -> None:
            nonlocal is_told
            is_told = True
            self._tell(scope, outcome)

        async def noting(message: Message) -> None:
            nonlocal status
            await send(message)
            kind = message["type"]
            if kind.endswith("response.start"):
                status = message["status"]
            elif kind == "websocket.accept":
                tell(_SWITCHING_PROTOCOLS)
            elif kind.endswith("response.body") and not message.get("more_body", False):
                tell(status)

        try:
            await self._pass_on(scope, receive, noting)
        except BaseException:
            if not is_told:
                tell(_FAILED)
            raise

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        row: Row | None = scope["access"]
        if scope["type"] == "websocket" and row is not None and scope["principal"].is_user:
            await self._sockets.serve(self._app, scope, receive, send, row)
        else:
            await self._app(scope, receive, send)

    def _row(self, scope: Scope) -> Row | None:
        """The row of the route that will answer; None where there is no such route."""
        key = self._routes.find(scope)
        if key is None:
            if self._routes.is_served(scope):
                raise Forbidden(
                    "This path has no row in the access table (bridge/access.py), so nobody may use it."
                )
            return None
        method, path = key
        row = self._access.get(key)
        if row is None and method == "HEAD":
            row = self._access.get(("GET", path))
        if row is None:
            raise Forbidden(
                f"{method} {path} has no row in the access table (bridge/access.py), so nobody may use it."
            )
        return row

    async def _admit(self, scope: Scope, headers: Headers, origin: Origin, row: Row | None) -> None:
        if row is not None and row.need is Need.ESTOP:
            # No limit and no long look-up stands between a person and the e-stop.
            caller = await self._callers.for_estop(scope, headers, origin)
        else:
            caller = await self._who(scope, headers, origin, row)
            _check_text(scope)
        scope["principal"] = caller
        if row is not None and (refusal := row.refusal(caller)) is not None:
            raise refusal
        if scope["type"] == "websocket" and caller.is_user:
            self._sockets.check_room()

    async def _who(self, scope: Scope, headers: Headers, origin: Origin, row: Row | None) -> Principal:
        # A caller we know answers for themselves: whatever their neighbours guess, it locks nobody else out.
        known = self._callers.recalled(headers)
        if known is None:
            self._limits.check_address(origin)
        elif row is None or not row.is_brake:
            self._limits.check_caller(known, origin)
        try:
            caller = await self._callers.of(scope, headers, origin)
        except Unauthorized:
            self._limits.note_failure(origin)
            if row is None or row.need is Need.PUBLIC:
                # A login that ran out must not keep its owner from logging in.
                return self._callers.unproven(origin)
            raise
        if known is None:
            self._limits.check_caller(caller, origin)
        return caller

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, error: ArenaError) -> None:
        response = errors.answer(scope["path"], error)
        if scope["principal"].is_user:
            self._tell(scope, response.status_code)
        await refuse(scope, receive, send, response)

    def _tell(self, scope: Scope, status: int) -> None:
        row: Row | None = scope.get("access")
        method = "WS" if scope["type"] == "websocket" else scope["method"]
        if row is None or method in _READING:
            return
        crossing = Crossing(
            caller=scope["principal"], method=method, row=row, path=scope["path"], status=status
        )
        try:
            self._note(crossing)
        except Exception:
            # The answer is out, and was right.
            _log.exception("A call is missing in the audit log: %s", crossing)


def _check_text(scope: Scope) -> None:
    """Raises NotFound or InvalidInput for a NUL, which PostgreSQL takes in no text and no name here has."""
    if "\0" in scope["path"]:
        raise NotFound("No path here has a NUL character (%00).")
    if b"%00" in scope.get("query_string", b""):
        raise InvalidInput("The query has a NUL character (%00), which no value here has.")


async def refuse(scope: Scope, receive: Receive, send: Send, response: ASGIApp) -> None:
    """Answer instead of a route; a WebSocket gets the same answer instead of being accepted."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        return
    await response(scope, receive, send)
