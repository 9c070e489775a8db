# SPDX-License-Identifier: Apache-2.0
"""/docs without a CDN: Swagger UI's files come from the PyPI package fastapi-offline."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

_FILES = "/docs/files"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def _policy(page: str) -> str:
    """Nothing from elsewhere, and of inline scripts only the page's own, by their hashes."""
    hashes = (b64encode(sha256(script.encode()).digest()).decode() for script in _INLINE.findall(page))
    scripts = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def add_docs(app: FastAPI) -> None:
    """Serve /docs and the files it needs."""
    app.add_api_route("/docs", _docs, include_in_schema=False)
    folder = resources.files("fastapi_offline") / "static"
    app.mount(_FILES, StaticFiles(directory=str(folder)), name="docs-files")


# Not within add_docs: FastAPI's caches keep endpoints for ever, and with what they close over a whole app.
async def _docs(request: Request) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page
