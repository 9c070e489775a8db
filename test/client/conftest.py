# SPDX-License-Identifier: Apache-2.0
"""A bridge on a real port, and clients of both kinds called alike."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.client import Arena, AsyncArena, call
from lerobot_arena.client.loop_thread import LoopThread
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge

KINDS = {"sync": Arena, "async": AsyncArena}


class Asker:
    """Calls a method of either kind by its dotted name and hands out its value."""

    def __init__(self, arena: Any, thread: LoopThread) -> None:
        self.arena, self.thread = arena, thread

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        found = self.arena
        for part in name.split("."):
            found = getattr(found, part)
        return self.value(lambda: found(*args, **kwargs))

    def value(self, make: Callable[[], Any]) -> Any:
        """Of a call, made on the loop so that it belongs to it."""

        async def made() -> Any:
            value = make()
            return await value if inspect.isawaitable(value) else value

        return make() if isinstance(self.arena, Arena) else self.thread.run(made(), 30.0)


@pytest.fixture(autouse=True)
def own_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nobody's login, token or bridge, and patience."""
    for name in ("ARENA_URL", "ARENA_TOKEN", "ARENA_BRIDGE_PORT"):
        monkeypatch.delenv(name, raising=False)
    # A machine that is busy with other tests is no defect: what shall time out says so itself.
    monkeypatch.setattr(call, "READ_TIMEOUT_S", 60.0)
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def bridge(data_dir: Path) -> Iterator[LiveBridge]:
    """One arm, beating in real time."""
    with live_bridge(data_dir) as made:
        yield made


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread()
    yield made
    made.close()


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> type:
    """Arena, then AsyncArena."""
    return KINDS[request.param]


@pytest.fixture
def asker(bridge: LiveBridge, kind: type, thread: LoopThread) -> Iterator[Asker]:
    """A client of the bridge, of either kind."""
    made = Asker(kind(bridge.url), thread)
    yield made
    made("close")
