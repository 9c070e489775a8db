# SPDX-License-Identifier: Apache-2.0
"""The page, built from web/ and shipped with the package."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from lerobot_arena.core.errors import NotFound

router = APIRouter()
FOLDER = Path(__file__).parents[1] / "ui"
HEADERS = {
    # The files' names never change, so a browser has to ask whether they did.
    "Cache-Control": "no-cache",
    # Nothing from elsewhere, and no other page may frame the buttons.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


# A worker obeys the headers of its own script: the run page's compiles WebAssembly.
RUN_HEADERS = HEADERS | {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; "
    "frame-ancestors 'none'",
}


class _PageFiles(StaticFiles):
    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        """A file of the page, or that it is unchanged."""
        response = super().file_response(full_path, *args, **kwargs)
        is_run = Path(full_path).is_relative_to(FOLDER / "run")
        response.headers.update(RUN_HEADERS if is_run else HEADERS)
        return response


@router.get("/ui", include_in_schema=False)
async def ui() -> FileResponse:
    """The page. Its links are absolute, so that both /ui and /ui/ show it."""
    if not (FOLDER / "index.html").is_file():
        raise NotFound("This installation has no page: build it with `make web`.")
    return FileResponse(FOLDER / "index.html", headers=HEADERS)


def mount(app: FastAPI) -> None:
    """Serve the page's files; without them `/ui/` is 404."""
    if FOLDER.is_dir():
        app.mount("/ui", _PageFiles(directory=FOLDER, html=True), name="ui")
