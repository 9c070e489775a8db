# SPDX-License-Identifier: Apache-2.0
"""The real bridge on a real port over FakeArms, in a thread of its own: for clients that block, or that break.

It can be stopped and started again on the same port and data, as after a crash.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.server import open_socket, serve
from lerobot_arena.bridge.services import Services
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_server import fake_services
from lerobot_arena.testing.bridge_rig import make_settings

# A machine that is busy with other tests is no defect.
_WAIT_S = 60.0


class LiveBridge:
    """`fake` is the robot side; touch it through `on_loop` while the bridge runs."""

    def __init__(
        self, data_dir: Path, *, beats: bool = True, fake: FakeArms | None = None, **settings: Any
    ) -> None:
        self._data_dir, self._beats, self._settings = data_dir, beats, settings
        self._first_fake = fake
        self._port = 0
        self.fake: FakeArms
        self.services: Services
        self.app: Any = None

    @property
    def url(self) -> str:
        """Of the root."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, on the port of before when there was one."""
        self.fake = self._first_fake or FakeArms()
        self._first_fake = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="live bridge", daemon=True)
        self._thread.start()
        assert self._ready.wait(_WAIT_S), "the bridge did not come up"
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it; open sockets are cut."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_WAIT_S)
        assert not self._thread.is_alive(), "the bridge did not end"

    def on_loop[T](self, work: Callable[[], T]) -> T:
        """Call something where the bridge runs."""

        async def do() -> T:
            return work()

        return self.run(do())

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Await something where the bridge runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WAIT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # for the test's thread
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        settings = make_settings(self._data_dir, **{"bridge_port": self._port, **self._settings})
        async with fake_services(self.fake, settings) as self.services:
            self.app = create_app(self.services)
            listener: socket.socket = open_socket(settings)
            self._port = listener.getsockname()[1]
            # Whoever comes before uvicorn does waits in the queue.
            listener.listen(128)
            living = asyncio.create_task(self.fake.live(frames_hz=10.0)) if self._beats else None
            asyncio.get_running_loop().call_soon(self._ready.set)
            try:
                await serve(self.app, listener, self._ending)
            finally:
                if living is not None:
                    living.cancel()
        # Connections that were cut are closed at the loop's next turns.
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def live_bridge(data_dir: Path, **settings: Any) -> Any:
    """A bridge that serves until the block ends."""
    bridge = LiveBridge(data_dir, **settings)
    bridge.start()
    try:
        yield bridge
    finally:
        bridge.stop()
