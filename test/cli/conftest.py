# SPDX-License-Identifier: Apache-2.0
"""A real HTTP server that answers what a test wrote down, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.testing.bridge_rig import PASSWORD
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge


class ScriptedBridge:
    """(method, path without query) → (status, JSON body). Unscripted requests are 404."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        bridge = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                bridge.asked.append((self.command, self.path, body))
                status, content = bridge.answers.get(
                    (self.command, self.path.partition("?")[0]), (404, {"detail": "Not Found"})
                )
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                data = b"" if status == 204 else data
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _answer

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def on(self, method: str, path: str, content: Any, status: int = 200) -> None:
        """Write down an answer."""
        self.answers[method, path] = (status, content)


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedBridge]:
    """A scripted bridge, named in ARENA_URL."""
    made = ScriptedBridge()
    monkeypatch.setenv("ARENA_URL", made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def annas_bridge(data_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LiveBridge]:
    """A real bridge, asked by Anna with a token of hers, below /api as where it is hosted."""
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    with live_bridge(data_dir) as made:
        accounts = made.services.accounts
        accounts.users.create("anna", PASSWORD)
        _, token = accounts.tokens.create("anna", "test", accounts.users.get("anna").scopes)
        monkeypatch.setenv("ARENA_URL", f"{made.url}/api")
        monkeypatch.setenv("ARENA_TOKEN", token)
        yield made
