# SPDX-License-Identifier: Apache-2.0
"""Who may talk to the bridge from a browser: an allow-list of Host names, and of Origins for what changes something.

A page of another site can send requests to 127.0.0.1 (CSRF) or rename itself to it (DNS rebinding); neither may move an
arm or watch its cameras.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lerobot_arena.bridge import errors
from lerobot_arena.bridge.border import refuse
from lerobot_arena.core.errors import Forbidden

_READING = {"GET", "HEAD"}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class OriginGuard:
    """ASGI middleware. Foreign Host: 403. Foreign Origin on a changing request or a WebSocket: 403."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: tuple[str, ...] = (),
        origins: tuple[str, ...] = (),
        any_address: bool = False,
    ) -> None:
        """`any_address`: an IP address as Host is this bridge, because nobody can rename one."""
        self._app, self._any_address = app, any_address
        self._hosts = _LOOPBACK_NAMES | {name.lower() for name in hosts}
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse with a reason."""
        refusal = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refuse(scope, receive, send, errors.answer(scope["path"], Forbidden(refusal)))

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = [host.lower() for host in headers.getlist("host")]
        # Several headers of one name are one client trying to have it both ways.
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_ours(_host_name(host)):
            return f"Host {host!r} is not this bridge. If it should be, add it to ARENA_ALLOWED_HOSTS."
        is_reading = scope["type"] == "http" and scope["method"] in _READING
        origins = [origin.rstrip("/").lower() for origin in headers.getlist("origin")]
        if is_reading or all(self._is_own(origin, host) for origin in origins):
            return None
        return f"Origin {origins[0]!r} may not do this. If it should, add it to ARENA_ALLOWED_ORIGINS."

    def _is_ours(self, name: str) -> bool:
        return name in self._hosts or (self._any_address and _is_address(name))

    def _is_own(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin in {f"http://{host}", f"https://{host}"}
