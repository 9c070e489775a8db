# SPDX-License-Identifier: Apache-2.0
"""Browser runs: pages at plain URLs. `/{owner}…` comes last and answers for no path that another route begins."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.bridge.run_description import cast_of, describe_run, describe_side, items_of, model_of
from lerobot_arena.bridge.services import Services
from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.reserved import ROUTE_SEGMENTS

_UI = Path(__file__).parents[1] / "ui"
_RUN_JSON = "run.json"
_POLICY = "Content-Security-Policy"
# WebAssembly is compiled, and a scene's textures are blobs; nothing comes from elsewhere.
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    _POLICY: "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
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


def page(name: str, status: int = 200, *, framed_by: Iterable[str] = ()) -> FileResponse:
    """One of the built pages; `framed_by` are origins beside its own. Raises NotFound when there is none."""
    path = _UI / name / "index.html"
    if not path.is_file():
        raise NotFound("This installation has no such page: build it with `make web`.")
    headers = dict(PAGE_HEADERS)
    # Browsers heed X-Frame-Options only where no frame-ancestors says more.
    headers[_POLICY] = " ".join([PAGE_HEADERS[_POLICY], *framed_by])
    return FileResponse(path, status, headers=headers)


def _controllers(services: Services) -> list[str]:
    """Origins whose pages may frame a run and drive it, as browsers write them."""
    return [origin.rstrip("/").lower() for origin in services.settings.allowed_origins]


def _told(run: dict[str, Any], services: Services) -> dict[str, Any]:
    return run | {"controlOrigins": _controllers(services) or None}


@router.get("/arena", include_in_schema=False)
async def arena_page() -> FileResponse:
    """Where blind matchups are launched, driven and voted on."""
    return page("arena")


@router.get("/leaderboard", include_in_schema=False)
async def leaderboard_page() -> FileResponse:
    """Ratings, and what they were computed from."""
    return page("leaderboard")


@router.get("/arena/run/{matchup_id}/{simulation_id}", include_in_schema=False)
async def pane(matchup_id: str, simulation_id: str, services: ServicesDep) -> FileResponse:
    """One pane of a matchup; its names are hidden."""
    return page("run", framed_by=_controllers(services))


@router.get("/arena/run/{matchup_id}/{simulation_id}/run.json")
async def pane_run(matchup_id: str, simulation_id: str, services: ServicesDep) -> dict[str, Any]:
    """What the pane runs. Both panes have to be watched for a while after they were loaded."""
    published = services.published

    def work() -> dict[str, Any]:
        matchup, side = published.arena.open_side(matchup_id, simulation_id)
        return describe_side(published.shelf, matchup, side)

    return _told(await published.desk.ask(work), services)


@router.get("/arena/run/{matchup_id}/{simulation_id}/policy.onnx", response_class=StreamingResponse)
async def pane_model(matchup_id: str, simulation_id: str, services: ServicesDep) -> Response:
    """The pane's network, under no name that tells which one it is."""
    published = services.published

    def work() -> Response:
        matchup, side = published.arena.find_side(matchup_id, simulation_id)
        sha256 = model_of(published.shelf, matchup, side).sha256
        headers = {"Content-Length": str(published.blobs.size(sha256)), "Cache-Control": "no-store"}
        return StreamingResponse(published.blobs.read(sha256), 200, headers, "application/octet-stream")

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
        return describe_run(cast_of(published.shelf, owner, named))

    if is_description:
        return JSONResponse(_told(await published.desk.ask(work), services))
    try:
        await published.desk.ask(work)
    except NotFound:
        return page("run", 404)
    return page("run", framed_by=_controllers(services))


def add_last(app: FastAPI) -> None:
    """After every other route."""
    app.include_router(owners)
