# SPDX-License-Identifier: Apache-2.0
"""Telemetry as it happens, on the real server: cycles, frames, and a connection that comes back."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.bridge.frames import pack_frame, pack_frame_with_cycle
from lerobot_arena.client import Arena, AsyncArena
from lerobot_arena.client.telemetry import Cycle, Frame, LinkChange, read_frame, read_item
from lerobot_arena.core.errors import InvalidInput, NotFound, Unavailable
from lerobot_arena.testing.live_bridge import LiveBridge


async def first(items: Any, kind: type, *, most: int = 500) -> Any:
    for _ in range(most):
        item = await asyncio.wait_for(anext(items), 10.0)
        if isinstance(item, kind):
            return item
    raise AssertionError(f"no {kind.__name__}")


async def test_cycles_and_frames_come_as_they_happen(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.sessions.create("s", "demo", robot="arm")
        await arena.sessions.start("s")
        async with contextlib.aclosing(arena.telemetry.live(cameras=["front"], fps=20)) as items:  # type: ignore[type-var]
            assert await anext(items) == LinkChange(True)
            cycle = await first(items, Cycle)
            assert cycle.event["arm"] == "arm" and cycle.cycle_id > 0
            frame = await first(items, Frame)
            assert frame.camera == "front" and frame.jpeg.startswith(b"\xff\xd8") and frame.cycle_id
        history = await arena.telemetry.history(3)
        assert history["total"] == 3


async def test_a_restarted_bridge_is_come_back_to(bridge: LiveBridge) -> None:
    async with (
        AsyncArena(bridge.url) as arena,
        contextlib.aclosing(arena.telemetry.live(cameras=[])) as items,  # type: ignore[type-var]
    ):
        await first(items, Cycle)
        await asyncio.to_thread(bridge.stop)
        down = await first(items, LinkChange)
        assert not down.is_up and down.reason
        await asyncio.to_thread(bridge.start)
        # A bridge that has just started may not have heard of its arm yet: that passes too.
        assert (await first(items, LinkChange)).is_up
        await first(items, Cycle)


async def test_what_the_bridge_refuses_is_raised_at_once(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        for kind, query in ((NotFound, {"arm": "nobody"}), (InvalidInput, {"cameras": ["nothing"]})):
            with pytest.raises(kind):
                await anext(arena.telemetry.live(**query))  # type: ignore[arg-type]
    async with AsyncArena("http://127.0.0.1:9") as nowhere:
        with pytest.raises(Unavailable):
            await anext(nowhere.telemetry.live(reconnect=False))


def test_without_asyncio_and_below_api(bridge: LiveBridge) -> None:
    with Arena(bridge.url + "/api") as arena:
        seen = []
        for item in arena.telemetry.live(cameras=[], rate_hz=50):
            seen.append(item)
            if sum(isinstance(each, Cycle) for each in seen) == 3:
                break
        assert seen[0] == LinkChange(True)


@given(st.text(max_size=60), st.binary(max_size=50), st.integers(0, 2**40))
def test_frames_are_read_as_the_bridge_packs_them(camera: str, jpeg: bytes, cycle_id: int) -> None:
    if len(camera.encode("utf-8", "surrogatepass")) > 255 or any(
        "\ud800" <= char <= "\udfff" for char in camera
    ):
        return
    assert read_frame(pack_frame(camera, jpeg)) == Frame(camera, jpeg)
    assert read_frame(pack_frame_with_cycle(camera, jpeg, cycle_id)) == Frame(camera, jpeg, cycle_id % 2**32)


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_anything_else_is_nothing_or_refused(data: bytes | str) -> None:
    with contextlib.suppress(ValueError):
        assert read_item(data) is None or isinstance(data, bytes)
