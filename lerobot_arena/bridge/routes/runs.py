# SPDX-License-Identifier: Apache-2.0
"""Browser runs: pages at plain URLs. `/{owner}…` comes last and answers for no path that another route begins."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.bridge.run_description import cast_of, describe_run, describe_side, items_of
from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.reserved import ROUTE_SEGMENTS

_UI = Path(__file__).parents[1] / "ui"
_RUN_JSON = "run.json"
# WebAssembly is compiled, and a scene's textures are blobs; nothing comes from elsewhere.
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self' blob:; img-src 'self' blob: data:; style-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


class OwnersRoute(APIRoute):
    """A route below an owner's name: paths of the server's own are none of it, so that their misses stay JSON."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As usual, but for reserved first segments and anything but reading."""
        first = scope.get("path", "").lstrip("/").partition("/")[0]
        is_reading = scope["type"] == "http" and scope.get("method") in {"GET", "HEAD"}
        if not is_reading or first in ROUTE_SEGMENTS or "." in first:
            return Match.NONE, {}
        return super().matches(scope)


router = APIRouter(tags=["Arena"])
owners = APIRouter(route_class=OwnersRoute, tags=["Browser runs"])


def page(name: str, status: int = 200) -> FileResponse:
    """One of the built pages. Raises NotFound when this installation has none."""
    path = _UI / name / "index.html"
    if not path.is_file():
        raise NotFound("This installation has no such page: build it with `make web`.")
    return FileResponse(path, status, headers=PAGE_HEADERS)


@router.get("/arena", include_in_schema=False)
async def arena_page() -> FileResponse:
    """Where blind matchups are launched, driven and voted on."""
    return page("arena")


@router.get("/leaderboard", include_in_schema=False)
async def leaderboard_page() -> FileResponse:
    """Ratings, and what they were computed from."""
    return page("leaderboard")


@router.get("/arena/run/{matchup_id}/{simulation_id}", include_in_schema=False)
async def pane(matchup_id: str, simulation_id: str) -> FileResponse:
    """One pane of a matchup; its names are hidden."""
    return page("run")


@router.get("/arena/run/{matchup_id}/{simulation_id}/run.json")
async def pane_run(matchup_id: str, simulation_id: str, services: ServicesDep) -> dict[str, Any]:
    """What the pane runs. Both panes have to be watched for a while after they were loaded."""
    published = services.published

    def work() -> dict[str, Any]:
        matchup, side = published.arena.open_side(matchup_id, simulation_id)
        return describe_side(published.shelf, matchup, side)

    return await published.desk.ask(work)


@owners.get("/{owner}", include_in_schema=False)
async def owner_page(owner: str, services: ServicesDep) -> Response:
    """What an owner has published."""
    published = services.published
    try:
        await published.desk.ask(lambda: items_of(published.shelf, owner))
    except NotFound:
        return page("owner", 404)
    return page("owner")


@owners.get("/{owner}/{path:path}")
async def run_page(owner: str, path: str, services: ServicesDep) -> Response:
    """A policy's, robot's or scene's run; with `/run.json` behind it, what the page runs."""
    published = services.published
    whole = path.rstrip("/")
    is_description = whole.endswith(f"/{_RUN_JSON}")
    named = whole.removesuffix(f"/{_RUN_JSON}")

    def work() -> dict[str, Any]:
        return describe_run(published.shelf, cast_of(published.shelf, owner, named))

    if is_description:
        return JSONResponse(await published.desk.ask(work))
    try:
        await published.desk.ask(work)
    except NotFound:
        return page("run", 404)
    return page("run")


def add_last(app: FastAPI) -> None:
    """After every other route."""
    app.include_router(owners)
