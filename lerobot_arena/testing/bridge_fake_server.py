# SPDX-License-Identifier: Apache-2.0
"""The real bridge over FakeArms, for work on the page and on clients. Run it as a module."""

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.feed import CycleFeed
from lerobot_arena.bridge.logs import RingLog
from lerobot_arena.bridge.server import ending_signals, open_socket, serve, set_up_logging
from lerobot_arena.bridge.services import Services, build_services
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.clock import Clock, SystemClock
from lerobot_arena.testing.bridge_fake_link import FakeArms


@contextlib.asynccontextmanager
async def fake_services(
    fake: FakeArms, settings: Settings, *, logs: RingLog | None = None, clock: Clock | None = None
) -> AsyncIterator[Services]:
    """Opened services over `fake`; any policy reference that resolves is taken without looking into it."""
    board = Board(clock or SystemClock())
    feed = CycleFeed(fake.decode_cycle)
    fake.attach(board, feed)
    services = build_services(
        settings, fake, board=board, feed=feed, logs=logs or RingLog(), inspect=lambda wanted, robot: {}
    )
    await services.open()
    try:
        yield services
    finally:
        await services.close()


async def serve_fake(fake: FakeArms, settings: Settings, *, frames_hz: float = 15.0) -> None:
    """Serve until SIGINT or SIGTERM."""
    ending = ending_signals()
    logs = RingLog()
    set_up_logging(logs)
    listener = open_socket(settings)
    async with fake_services(fake, settings, logs=logs) as services:
        living = asyncio.create_task(fake.live(frames_hz=frames_hz))
        try:
            await serve(create_app(services), listener, ending)
        finally:
            living.cancel()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--arms", nargs="+", default=["arm"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(bridge_port=options.port, data_dir=Path(folder))
        asyncio.run(serve_fake(FakeArms(tuple(options.arms)), settings))


if __name__ == "__main__":
    main()
