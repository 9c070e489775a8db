# SPDX-License-Identifier: Apache-2.0
"""Which route a request will reach, found before its body is read: the router's patterns, in the router's order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from starlette.routing import BaseRoute, Match, Mount, compile_path
from starlette.types import Scope

from lerobot_arena.bridge.access import MOUNT, WS

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class KnownRoute:
    """One route as the access table names it: `methods` are HTTP methods, or WS, or MOUNT."""

    methods: tuple[str, ...]
    path: str
    pattern: re.Pattern[str]


def _flat(routes: Iterable[BaseRoute]) -> Iterator[Any]:
    """Routes with their whole path; newer FastAPI keeps included routers as one entry each."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield (
                    context if getattr(context, "starlette_route", None) is None else context.starlette_route
                )
        else:
            yield route


def routes_of(app: FastAPI) -> list[KnownRoute]:
    """Every route of an app, in the order in which the router asks them."""
    found = []
    for route in _flat(app.router.routes):
        if isinstance(route, Mount):
            pattern, _, _ = compile_path(f"{route.path}/{{path:path}}")
            found.append(KnownRoute((MOUNT,), route.path, pattern))
        else:
            methods = tuple(sorted(getattr(route, "methods", None) or {WS}))
            pattern, _, _ = compile_path(route.path)
            found.append(KnownRoute(methods, route.path, pattern))
    return found


class RouteMap:
    """Looks a request up among an app's routes."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._routes = app, routes_of(app)
        self._find = lru_cache(_REMEMBERED)(self._search)

    def find(self, scope: Scope) -> tuple[str, str] | None:
        """Method and path template of the route that will answer; None when the router will answer 404 or 405."""
        method = WS if scope["type"] == "websocket" else scope["method"]
        return self._find(method, scope["path"])

    def _search(self, method: str, path: str) -> tuple[str, str] | None:
        for route in self._routes:
            if (method in route.methods or route.methods == (MOUNT,)) and route.pattern.match(path):
                return (MOUNT if route.methods == (MOUNT,) else method), route.path
        return None

    def is_served(self, scope: Scope) -> bool:
        """Whether the router itself would serve a request, say by a route added after this map was made."""
        return any(route.matches(scope)[0] is Match.FULL for route in self._app.router.routes)
