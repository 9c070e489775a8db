# SPDX-License-Identifier: Apache-2.0
"""The run page on a plain server of its own: the committed bundle, runs from memory, the strictest headers."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BUNDLE = Path(__file__).parents[1] / "bridge" / "ui" / "run"
PREFIX = "/ui/run/"
# No inline script or style, no eval but WebAssembly's, nothing from elsewhere. A GLB's textures are blobs.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' blob:; "
    "frame-src 'self'; img-src 'self' blob:; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {ancestors}"
)
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


class RunPageServer:
    """`files` are the answers besides the bundle, by path; a page is at every path that ends with `/`."""

    def __init__(self, files: Mapping[str, bytes], *, port: int = 0, ancestors: str = "'self'") -> None:
        self.files = dict(files)
        self.policy = POLICY.format(ancestors=ancestors)
        self.requested: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _answers(self))
        self._thread = threading.Thread(target=self._server.serve_forever, name="run page")

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add_run(self, name: str, run: Mapping[str, Any]) -> str:
        """Have a run below `/name/`; returns the page's address."""
        self.files[f"/{name}/run.json"] = json.dumps(run).encode()
        return f"{self.url}/{name}/"

    def find(self, path: str) -> tuple[str, bytes] | None:
        """Kind and content of what is at `path`."""
        kind = KINDS.get(Path(path).suffix, "application/octet-stream")
        if path in self.files:
            return kind, self.files[path]
        if path.endswith("/"):
            return KINDS[".html"], (BUNDLE / "index.html").read_bytes()
        file = (BUNDLE / path.removeprefix(PREFIX)).resolve()
        if path.startswith(PREFIX) and file.is_relative_to(BUNDLE) and file.is_file():
            return kind, file.read_bytes()
        return None

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def serving(server: RunPageServer) -> Iterator[RunPageServer]:
    """A server for as long as it is needed."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _answers(page: RunPageServer) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            page.requested.append(path)
            found = page.find(path)
            kind, content = found or ("text/plain", b"not here")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", page.policy)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Not to the test's output."""

    return Answers
