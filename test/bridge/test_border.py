# SPDX-License-Identifier: Apache-2.0
"""Nobody gets past the border who should not, and nobody is told more than that."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from lerobot_arena.bridge.access import table
from lerobot_arena.bridge.route_map import routes_of
from lerobot_arena.testing.bridge_rig import Rig, open_rig

FAR = ("10.0.0.9", 1234)


@pytest.fixture
async def far(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A caller on another machine."""
    transport = httpx.ASGITransport(rig.app, raise_app_exceptions=False, client=FAR)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as http:
        yield http


async def test_every_route_has_a_row(rig: Rig) -> None:
    known = table()
    keys = {
        (method, route.path) for route in routes_of(rig.app) for method in route.methods if method != "HEAD"
    }
    assert keys - set(known) == set(), "add a row to bridge/access.py for each"


async def test_a_stranger_may_look_at_the_door_only(far: httpx.AsyncClient, rig: Rig) -> None:
    await rig.create()
    assert (await far.get("/health")).status_code == 200
    for method, path in (
        ("GET", "/sessions"),
        ("POST", "/sessions"),
        ("POST", "/sessions/s/start"),
        ("POST", "/api/control/estop"),
        ("GET", "/api/telemetry/history"),
    ):
        answer = await far.request(method, path)
        assert answer.status_code == 401, (path, answer.text)
        assert (
            answer.headers["www-authenticate"].startswith("Bearer")
            and answer.json()["code"] == "unauthorized"
        )
    assert rig.fake.calls == []


async def test_an_unknown_path_is_404_and_a_wrong_method_405_for_strangers_too(
    far: httpx.AsyncClient,
) -> None:
    assert (await far.get("/nothing/here")).json() == {"detail": "Not Found", "code": "not_found"}
    assert (await far.delete("/health")).status_code == 405


async def test_a_route_without_a_row_answers_nobody(data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        rig.app.add_api_route("/forgotten", lambda: {"secret": 1})
        answer = await rig.http.get("/forgotten")
        assert answer.status_code == 403 and "access table" in answer.json()["detail"]
        # Added after the first request, when the map of routes was made.
        rig.app.add_api_route("/later", lambda: {"secret": 1})
        assert (await rig.http.get("/later")).status_code == 403
