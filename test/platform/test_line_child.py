# SPDX-License-Identifier: Apache-2.0
"""A process that answers lines: what it does not read holds up nobody, and what does not start leaves nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.catalog.limits import ChildLimits
from lerobot_arena.platform.deployments import line_child
from lerobot_arena.platform.deployments.line_child import LineChild, open_line_child

PICTURES = "lerobot_arena.platform.deployments.picture_child"


async def begin(folder: Path) -> LineChild:
    await asyncio.to_thread(folder.mkdir)
    limits = asdict(ChildLimits(memory_bytes=2048 << 20))
    asked = {"folder": str(folder), "limits": limits, "cameras": {"front": (8, 8)}}
    return await open_line_child(PICTURES, folder, asked, lost="It has ended.")


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[LineChild]:
    made = await begin(tmp_path / "child")
    yield made
    await made.close()


async def test_a_process_that_does_not_read_holds_up_nobody_and_can_be_ended(child: LineChild) -> None:
    os.killpg(child._process.pid, signal.SIGSTOP)
    asking = asyncio.create_task(child.ask({"front": "A" * 5_000_000}))
    await asyncio.sleep(0.05)  # on a loop that is held up this takes for ever
    assert not asking.done()
    await child.close()
    with pytest.raises(Unavailable, match="It has ended"):
        await asking
    assert not child.is_alive and not child._folder.exists()
    await child.close()


@pytest.mark.parametrize("bad", [float("nan"), object()])
async def test_what_is_not_json_is_said_and_costs_nothing(child: LineChild, bad: Any) -> None:
    with pytest.raises(InvalidInput, match="not JSON"):
        await child.ask({"front": bad})
    assert child.is_alive


async def test_what_cannot_be_started_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(line_child, "start_child", fail)
    ends = os.pipe()
    monkeypatch.setattr(os, "pipe", lambda: ends)
    with pytest.raises(OSError, match="memory"):
        await begin(tmp_path / "child")
    assert not await asyncio.to_thread((tmp_path / "child").exists)
    for end in ends:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(end)
