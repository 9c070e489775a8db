# SPDX-License-Identifier: Apache-2.0
"""The real bridge over FakeArms in a thread, and a page of the system's Chromium that looks at it."""

import asyncio
import json
import os
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.server import open_socket
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_server import fake_services

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1440, "height": 900}


class Stage:
    """A bridge on a port of its own whose arms do as the test says."""

    def __init__(self, folder: Path, arms: tuple[str, ...], **settings: Any) -> None:
        self.fake = FakeArms(arms)
        self._settings = Settings(bridge_port=0, data_dir=folder, estop_timeout_s=0.3, **settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._living: asyncio.Task[None] | None = None
        self.frames_hz = 15.0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._settings.bridge_port}"

    def open(self) -> None:
        """Listen; on the same port when it listened before."""
        listener = open_socket(self._settings)
        listener.listen()
        self._settings = self._settings.model_copy(update={"bridge_port": listener.getsockname()[1]})
        ready: Future[uvicorn.Server] = Future()
        run = self._run(listener, ready)
        self._thread = threading.Thread(target=asyncio.run, args=(run,), name="bridge")
        self._thread.start()
        self._server = ready.result(timeout=60)

    async def _run(self, listener: Any, ready: "Future[uvicorn.Server]") -> None:
        self._loop = asyncio.get_running_loop()
        async with fake_services(self.fake, self._settings) as services:
            self.services = services
            config = uvicorn.Config(
                create_app(services),
                log_config=None,
                lifespan="off",
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=1,
            )
            server = uvicorn.Server(config)
            self.live()
            ready.set_result(server)
            try:
                await server.serve(sockets=[listener])
            finally:
                self._rest()

    def live(self) -> None:
        """Let the arms live in real time; called on the loop."""
        self._living = asyncio.ensure_future(self.fake.live(frames_hz=self.frames_hz))

    def _rest(self) -> None:
        if self._living is not None:
            self._living.cancel()
        self._living = None

    def freeze(self) -> None:
        """The whole robot side falls silent; the bridge lives."""
        self.do(self._rest)

    def close(self) -> None:
        """The bridge goes away, as when it is killed."""
        self._server.should_exit = True
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def do[T](self, act: Callable[[], T]) -> T:
        """Run on the bridge's loop and return what came of it."""
        assert self._loop is not None
        done: Future[T] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(act()))
        return done.result(timeout=30)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST as any client does."""
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body or {}).encode(),
            {"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def add_session(self, session_id: str, arm: str) -> None:
        """Have `arm` driven by a policy that holds still."""
        body = {"session_id": session_id, "policy_path": "hold", "camera_names": ["front"], "robot": arm}
        self.post("/sessions", body)


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One arm, or those of `@pytest.mark.parametrize("stage", [(…)], indirect=True)`, with a session `demo`."""
    stage = Stage(tmp_path, getattr(request, "param", ("arm",)))
    try:
        stage.add_session("demo", stage.fake.arms[0])
        yield stage
    finally:
        stage.close()


@pytest.fixture
def open_stage() -> type[Stage]:
    """For a stage with settings of the test's own; the test closes it."""
    return Stage


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    sync_api = pytest.importorskip("playwright.sync_api")
    # Not for the whole session: the sync API keeps an event loop running, which asyncio tests could not bear.
    executable = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if executable is None:
        pytest.skip("no Chromium: `apt-get install chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


class Seen:
    """What a page asked for and complained about."""

    def __init__(self, page: "Page") -> None:
        self.posts: list[str] = []
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.on("request", self._on_request)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)

    def _on_request(self, request: "Request") -> None:
        self.hosts.add(request.url.split("/")[2])
        if request.method == "POST":
            self.posts.append(request.url.partition("//")[2].partition("/")[2])

    def _on_console(self, message: "ConsoleMessage") -> None:
        # Chromium reports each refused or failed request; those are what several tests provoke.
        if (
            message.type == "error"
            and "Failed to load resource" not in message.text
            and "WebSocket" not in message.text
        ):
            self.errors.append(message.text)


@pytest.fixture
def look(browser: "Browser") -> "Iterator[Callable[..., tuple[Page, Seen]]]":
    """Open the stage's page in a context of its own; script errors fail the test at its end."""
    opened: list[Seen] = []
    contexts = []

    def open_page(
        stage: Stage,
        *,
        viewport: dict[str, int] | None = None,
        scheme: str = "dark",
        script: str = "",
        fragment: str = "",
        **options: Any,
    ) -> "tuple[Page, Seen]":
        context = browser.new_context(viewport=viewport or DESKTOP, color_scheme=scheme, **options)
        contexts.append(context)
        context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(45_000)
        seen = Seen(page)
        opened.append(seen)
        page.goto(f"{stage.url}/ui{fragment}")
        return page, seen

    yield open_page
    for context in contexts:
        context.close()
    assert [error for seen in opened for error in seen.errors] == []


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots go: ARENA_TEST_ARTIFACTS, else artifacts/web (not in git)."""
    folder = Path(os.environ.get("ARENA_TEST_ARTIFACTS") or Path(__file__).parents[2] / "artifacts" / "web")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
