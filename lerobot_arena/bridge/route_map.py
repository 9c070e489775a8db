# SPDX-License-Identifier: Apache-2.0
"""Which route a request will reach, found before its body is read: the router's patterns, in the router's order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute, compile_path
from starlette.types import Scope

from lerobot_arena.bridge.access import MOUNT, WS

_REMEMBERED = 4096
# Of method and path together. Strangers choose paths, so a remembered one has a bounded size.
_LONGEST_REMEMBERED = 256
_PLAIN = {kind.matches for kind in (Route, WebSocketRoute, Mount, APIRoute, APIWebSocketRoute)}


@dataclass(frozen=True, slots=True)
class KnownRoute:
    """One route as the access table names it: `methods` are HTTP methods, or WS, or MOUNT."""

    methods: tuple[str, ...]
    path: str
    pattern: re.Pattern[str]
    narrower: BaseRoute | None = None
    """The route itself, when its class decides by more than method and path pattern."""

    def serves(self, method: str, path: str) -> bool:
        """Whether the router gives it such a request."""
        if (method not in self.methods and self.methods != (MOUNT,)) or not self.pattern.match(path):
            return False
        if self.narrower is None:
            return True
        kind = {"type": "websocket"} if method == WS else {"type": "http", "method": method}
        scope = {**kind, "path": path, "root_path": "", "headers": []}
        return self.narrower.matches(scope)[0] is Match.FULL


def _flat(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Routes with the whole path of each. Newer FastAPI keeps an included router as one entry.

    Its own view of what is inside (`effective_route_contexts`) builds every route anew: a tenth of a second.
    """
    for route in routes:
        included: Any = route
        if hasattr(included, "original_router"):
            yield from _flat(included.original_router.routes, prefix + included.include_context.prefix)
        else:
            yield prefix + getattr(route, "path", ""), route


def routes_of(app: FastAPI) -> list[KnownRoute]:
    """Every route of an app, in the order in which the router asks them."""
    found = []
    for path, route in _flat(app.router.routes):
        is_mount = isinstance(route, Mount)
        methods = (MOUNT,) if is_mount else tuple(sorted(getattr(route, "methods", None) or {WS}))
        pattern, _, _ = compile_path(f"{path}/{{path:path}}" if is_mount else path)
        found.append(KnownRoute(methods, path, pattern, _narrower(route, path)))
    return found


def _narrower(route: Any, path: str) -> BaseRoute | None:
    if type(route).matches in _PLAIN:
        return None
    # Asked without its router, a route knows nothing of a prefix.
    if getattr(route, "path", "") != path:
        raise ValueError(
            f"{path}: a route that decides by itself which requests it takes cannot have a prefix"
        )
    found: BaseRoute = route
    return found


class RouteMap:
    """Looks a request up among an app's routes."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._routes = app, routes_of(app)
        self._find = lru_cache(_REMEMBERED)(self._search)

    def find(self, scope: Scope) -> tuple[str, str] | None:
        """Method and path template of the route that will answer; None when the router will answer 404 or 405."""
        method = WS if scope["type"] == "websocket" else scope["method"]
        path = scope["path"]
        is_short = len(method) + len(path) <= _LONGEST_REMEMBERED
        return self._find(method, path) if is_short else self._search(method, path)

    def _search(self, method: str, path: str) -> tuple[str, str] | None:
        for route in self._routes:
            if route.serves(method, path):
                return (MOUNT if route.methods == (MOUNT,) else method), route.path
        return None

    def is_served(self, scope: Scope) -> bool:
        """Whether the router itself would serve a request, say by a route added after this map was made."""
        return any(route.matches(scope)[0] is Match.FULL for route in self._app.router.routes)
