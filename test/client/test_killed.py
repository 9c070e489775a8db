# SPDX-License-Identifier: Apache-2.0
"""A bridge that is killed, for real: the client comes back by itself, to its room as well."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from lerobot_arena.client import AsyncArena
from lerobot_arena.client.telemetry import Cycle, LinkChange
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.testing.bridge_rig import until

pytestmark = pytest.mark.slow


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


def begun(processes: list[subprocess.Popen[bytes]], port: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lerobot_arena.testing.bridge_fake_server", "--port", str(port)]
    processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
    return processes[-1]


async def port_of(process: subprocess.Popen[bytes]) -> int:
    """Where it listens."""
    seen = psutil.Process(process.pid)

    def ports() -> list[int]:
        return [each.laddr.port for each in seen.net_connections("tcp") if each.status == psutil.CONN_LISTEN]

    await until(ports, 60)
    return ports()[0]


async def answers(arena: AsyncArena) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await arena.health()
                return
            except Unavailable:
                await asyncio.sleep(0.1)  # how often it asks; the bridge is another process


async def test_a_killed_bridge_is_come_back_to(processes: list[subprocess.Popen[bytes]]) -> None:
    changes: list[bool] = []
    seen: list[int] = []

    async def watch(arena: AsyncArena) -> None:
        async for item in arena.telemetry.live(cameras=[]):
            if isinstance(item, LinkChange):
                changes.append(item.is_up)
            elif isinstance(item, Cycle):
                seen.append(item.cycle_id)

    process = begun(processes)
    port = await port_of(process)
    async with AsyncArena(f"http://127.0.0.1:{port}") as arena:
        await answers(arena)
        await arena.robotics.create("w", "r")
        watching = asyncio.create_task(watch(arena))
        async with (
            arena.join_robotics("w", "r", role="producer", participant_id="robot") as producer,
            arena.join_robotics("w", "r", max_age_s=5.0) as consumer,
        ):
            await until(lambda: seen, 30)
            process.kill()
            process.wait()
            await until(lambda: not producer.is_live and not consumer.is_live)
            assert consumer.newest() is None and not producer.send_joints({"a": 1.0})
            begun(processes, port)
            await answers(arena)
            # This one begins with an empty database: the room is not there, and joined as soon as it is.
            await arena.robotics.create("w", "r")
            # The longest pause is 5 s.
            await until(lambda: producer.is_live and consumer.is_live, 30)
            producer.send_joints({"a": 2.0})
            update = await consumer.next(10.0)
            assert update is not None and update.joints == {"a": 2.0}
            await until(lambda: changes == [True, False, True], 30)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
