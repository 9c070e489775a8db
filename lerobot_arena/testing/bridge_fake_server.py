# SPDX-License-Identifier: Apache-2.0
"""The real bridge over FakeArms, for work on the page and on clients. Run it as a module."""

import argparse
import asyncio
import contextlib
import json
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
from lerobot_arena.core.guard_config import DEFAULT_TASK, BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.guard.boundary import boundary_from_mapping
from lerobot_arena.guard.task import task_from_mapping
from lerobot_arena.testing.bridge_fake_link import FakeArms


def small_config() -> GuardConfig:
    """Two boundaries and the task `default` under the first, of checks that fit every arm."""
    nodes = {
        "not_forever": {"callback": "task_timeout", "params": {"timeout_s": 600.0}, "fallback": "stop"},
        "steady_policy": {"callback": "frozen_policy"},
    }
    boundaries = [boundary_from_mapping({"name": name, "nodes": [node]}) for name, node in nodes.items()]
    task = task_from_mapping(
        {"name": DEFAULT_TASK, "boundaries": ["not_forever"], "virtual_boundaries": ["not_forever"]}
    )
    return GuardConfig(
        0,
        tuple(BoundaryWanted(item.name, 1, json.dumps(item.mapping())) for item in boundaries),
        (TaskWanted(task.name, json.dumps(task.mapping())),),
    )


@contextlib.asynccontextmanager
async def fake_services(
    fake: FakeArms, settings: Settings, *, logs: RingLog | None = None, clock: Clock | None = None
) -> AsyncIterator[Services]:
    """Opened services over `fake`; any policy reference that resolves is taken without looking into it."""
    board = Board(clock or SystemClock())
    feed = CycleFeed(fake.decode_cycle)
    fake.attach(board, feed)
    services = build_services(
        settings,
        fake,
        board=board,
        feed=feed,
        logs=logs or RingLog(),
        inspect=lambda wanted, robot: {},
        shipped=small_config,
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
