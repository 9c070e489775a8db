# SPDX-License-Identifier: Apache-2.0
"""The map of routes and FastAPI's own router say the same of every request."""

import pytest
from starlette.routing import Match

from lerobot_arena.bridge.access import MOUNT, WS
from lerobot_arena.bridge.route_map import RouteMap, routes_of
from lerobot_arena.testing.bridge_rig import Rig

PATHS = [
    "/",
    "/api",
    "/api/",
    "/ui",
    "/ui/",
    "/ui/x/y",
    "/docs/files/a",
    "/sessions/a/b",
    "/api/risk-log/stats",
    "//health",
]
VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", WS]


async def test_paths_are_as_fastapi_has_them(rig: Rig) -> None:
    routing = pytest.importorskip("fastapi.routing")
    if not hasattr(routing, "iter_route_contexts"):
        pytest.skip("this FastAPI has whole paths in its routes anyway")
    theirs = [context.path for context in routing.iter_route_contexts(rig.app.router.routes)]
    assert [route.path for route in routes_of(rig.app)] == theirs


async def test_what_is_found_is_what_the_router_serves(rig: Rig) -> None:
    found = RouteMap(rig.app)
    paths = {
        route.path.replace("{", "").replace(":path", "").replace("}", "") for route in routes_of(rig.app)
    }
    for path in [*PATHS, *sorted(paths)]:
        for method in VERBS:
            kind = {"type": "websocket"} if method == WS else {"type": "http", "method": method}
            scope = {**kind, "path": path, "root_path": "", "headers": []}
            served = any(route.matches(dict(scope))[0] is Match.FULL for route in rig.app.router.routes)
            assert (found.find(scope) is not None) == served, (method, path)


async def test_what_strangers_choose_stays_in_no_memory(rig: Rig) -> None:
    found = RouteMap(rig.app)
    for number in range(500):
        for method, path in (("GET", f"/{number}/" + "x" * 60_000), ("X" * 300 + str(number), "/health")):
            found.find({"type": "http", "method": method, "path": path})
    assert found._find.cache_info().currsize == 0
    assert found.find({"type": "http", "method": "GET", "path": "/health"}) == ("GET", "/health")
    assert found._find.cache_info().currsize == 1


async def test_the_first_that_fits_is_found(rig: Rig) -> None:
    found = RouteMap(rig.app)

    def at(method: str, path: str) -> tuple[str, str] | None:
        return found.find({"type": "http", "method": method, "path": path})

    assert at("GET", "/api/risk-log/stats") == ("GET", "/api/risk-log/stats")
    assert at("GET", "/api/risk-log/7") == ("GET", "/api/risk-log/{event_id}")
    assert at("GET", "/ui/assets/x.js") == (MOUNT, "/ui")
    assert at("POST", "/api/arms/virtual/x/scene/reset") == ("POST", "/api/arms/{arm:path}/scene/reset")
    assert at("PUT", "/nothing") is None
    # A route may be choosier than its pattern.
    assert at("GET", "/sessions/a/b") is None and at("GET", "/olga/arm") == ("GET", "/{owner}/{path:path}")
