# SPDX-License-Identifier: Apache-2.0
"""A deployed policy's process, for real: it answers, throws, dies, and is ended at any moment."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.errors import ArenaError, InvalidInput, Unavailable
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.worker_client import WorkerOptions
from lerobot_arena.platform.deployments.policy_process import PolicyProcess

SEEN = PolicyInput(np.asarray([1.0, 2.0]))
OPTIONS = WorkerOptions(threads=1, load_timeout_s=60.0, infer_timeout_s=30.0)
_HANGS_S = 1.0
Maker = Callable[..., PolicyProcess]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    made: list[PolicyProcess] = []

    def process(**faults: Any) -> PolicyProcess:
        names = ("pan", "gripper")
        (tmp_path / "r.json").write_text(json.dumps({"faults": faults}))
        manifest = PolicyManifest(
            "replay", "replay", str(tmp_path), names, "radians", 30.0, state_names=names, weights="r.json"
        )
        options = replace(OPTIONS, infer_timeout_s=_HANGS_S) if "hang_at" in faults else OPTIONS
        made.append(PolicyProcess(manifest, options))
        return made[-1]

    yield process
    for one in made:
        await one.close()


async def test_it_answers_and_a_throw_is_the_request_s(make: Maker) -> None:
    process = make(throw_at=2)
    await process.open()
    assert (await process.infer(SEEN, "")).chunk.tolist() == [[1.0, 2.0]]
    with pytest.raises(InvalidInput, match="threw"):
        await process.infer(SEEN, "")
    assert (await process.infer(SEEN, "")).chunk.shape == (1, 2) and process.is_alive


@pytest.mark.parametrize(("fault", "said"), [({"exit_at": 1}, "exit code"), ({"hang_at": 1}, "hung")])
async def test_one_that_dies_or_hangs_is_lost_in_words(make: Maker, fault: dict[str, int], said: str) -> None:
    process = make(**fault)
    await process.open()
    with pytest.raises(Unavailable, match=said):
        await process.infer(SEEN, "")
    assert not process.is_alive


async def test_a_kill_is_seen_without_a_request(make: Maker) -> None:
    process = make()
    await process.open()
    assert process._client is not None
    os.kill(process._client.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while process.is_alive:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the kernel says it to whoever looks


async def test_it_is_ended_while_it_loads(make: Maker) -> None:
    process = make()
    opening = asyncio.create_task(process.open())
    async with asyncio.timeout(10):
        while process._client is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # it is made in a thread, which needs its turn
    pid = process._client.pid
    await process.close()
    with pytest.raises(ArenaError):
        await opening
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_one_that_cannot_be_loaded_says_why(make: Maker) -> None:
    process = make(no_such_fault=1)
    with pytest.raises(ArenaError, match="no_such_fault"):
        await process.open()
