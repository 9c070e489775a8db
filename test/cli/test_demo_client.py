# SPDX-License-Identifier: Apache-2.0
"""The demo's client against the real bridge over a robot side in memory: real HTTP, real WebSocket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.server import open_socket, serve
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.cli.demo.drive import DemoClient
from lerobot_arena.cli.demo.figures import figures
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_server import fake_services


@dataclass
class Arena:
    """A bridge that serves, its robot side, and a demo client."""

    fake: FakeArms
    client: DemoClient
    http: httpx.AsyncClient
    told: list[str] = field(default_factory=list)

    def finish_episode(self, *, is_success: bool) -> None:
        self.fake.tasks["arm"] = replace(self.fake.tasks["arm"], is_over=True, is_success=is_success)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.025)  # how often it looks; the client plays beside it
        pytest.fail(f"it did not happen: {what}; {self.fake.calls} {self.told}")

    def starts(self) -> int:
        return self.fake.calls.count(("arm", "start"))


@pytest_asyncio.fixture
async def arena(tmp_path: Path) -> AsyncIterator[Arena]:
    settings = Settings(bridge_port=0, data_dir=tmp_path)
    fake = FakeArms()
    async with fake_services(fake, settings) as services:
        listener = open_socket(settings)
        ending = asyncio.Event()
        serving = serve(create_app(services), listener, ending)
        tasks = [asyncio.create_task(serving), asyncio.create_task(fake.live())]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        told: list[str] = []
        client = DemoClient(url, "arm", told.append)
        async with httpx.AsyncClient(base_url=url) as http:
            yield Arena(fake, client, http, told)
        await client.close()
        ending.set()
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_two_episodes_are_played_counted_and_reported(arena: Arena) -> None:
    await arena.client.prepare()
    playing = asyncio.create_task(arena.client.run(lambda loop: loop.episodes == 2))
    await arena.until(lambda: arena.starts() == 1, "the first start")
    arena.finish_episode(is_success=True)
    await arena.until(lambda: arena.starts() == 2, "the second start")
    arena.finish_episode(is_success=False)
    await asyncio.wait_for(playing, 10.0)
    await arena.client.finish()
    verbs = [verb for _, verb in arena.fake.calls]
    assert verbs[:5] == ["start", "stop", "reset_scene", "start", "stop"]
    result = figures(arena.client.loop, arena.client.status, seconds=3.0)
    assert (result["episodes"], result["successes"]) == (2, 1)
    assert result["commands"] > 0 and result["decisions"]["pass"] > 0
    assert result["stages"]["inference.network"].keys() == {"p50", "p95", "p99"}


async def test_a_session_an_earlier_run_left_is_replaced(arena: Arena) -> None:
    await arena.client.prepare()
    await arena.client.prepare()
    assert [session["session_id"] for session in (await arena.http.get("/sessions")).json()] == ["demo"]


async def test_an_estop_is_a_persons_word(arena: Arena) -> None:
    await arena.client.prepare()
    playing = asyncio.create_task(arena.client.run(lambda loop: False))
    await arena.until(lambda: arena.starts() == 1, "the first start")
    await arena.http.post("/api/control/estop")
    await arena.until(lambda: any("e-stop" in text for text in arena.told), "it says that it waits")
    await arena.http.post("/api/control/reset")
    await asyncio.sleep(1.0)  # time for a start that must not come
    assert arena.starts() == 1, "the demo started by itself after an e-stop"
    assert (await arena.http.post("/sessions/demo/start")).is_success
    await arena.until(lambda: not arena.client.loop.waiting_for, "it goes on")
    arena.finish_episode(is_success=True)
    await arena.until(lambda: arena.starts() == 3, "the next episode")
    assert arena.client.loop.episodes == 0
    playing.cancel()


async def test_a_bridge_that_goes_away_is_waited_for(arena: Arena) -> None:
    dead = DemoClient("http://127.0.0.1:9", "arm", arena.told.append)
    playing = asyncio.create_task(dead.run(lambda loop: False))
    await arena.until(lambda: any("does not answer" in text for text in arena.told), "it says so")
    assert not playing.done()
    playing.cancel()
    await dead.close()
