# SPDX-License-Identifier: Apache-2.0
"""The page, built from web/ and shipped with the package."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from lerobot_arena.core.errors import NotFound

router = APIRouter()
FOLDER = Path(__file__).parents[1] / "ui"


@router.get("/ui", include_in_schema=False)
async def ui() -> FileResponse:
    """The page. Its links are absolute, so that both /ui and /ui/ show it."""
    if not (FOLDER / "index.html").is_file():
        raise NotFound("This installation has no page: build it with `make web`.")
    return FileResponse(FOLDER / "index.html")


def mount(app: FastAPI) -> None:
    """Serve the page's files; without them `/ui/` is 404."""
    if FOLDER.is_dir():
        app.mount("/ui", StaticFiles(directory=FOLDER, html=True), name="ui")
