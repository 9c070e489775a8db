# SPDX-License-Identifier: Apache-2.0
"""/docs without a CDN: Swagger UI's files come from the PyPI package fastapi-offline."""

from importlib import resources

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

_FILES = "/docs/files"


def add_docs(app: FastAPI) -> None:
    """Serve /docs and the files it needs."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{_FILES}/swagger-ui.css",
            swagger_favicon_url=f"{_FILES}/favicon.png",
        )

    folder = resources.files("fastapi_offline") / "static"
    app.mount(_FILES, StaticFiles(directory=str(folder)), name="docs-files")
