# SPDX-License-Identifier: Apache-2.0
"""The real app over FakeArms: no ROS, no network, and a clock that stands still."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from lerobot_arena.testing.bridge_rig import Rig, open_rig
from lerobot_arena.testing.remote_pair import Pair, remote_pair

RigMaker = Callable[..., contextlib.AbstractAsyncContextManager[Rig]]


@pytest.fixture
def rig_with(data_dir: Path) -> RigMaker:
    """Opens a Rig over a FakeArms and settings of the test's choice, on one data folder."""
    return lambda fake=None, **changes: open_rig(data_dir, fake, **changes)


@pytest.fixture
async def rig(data_dir: Path) -> AsyncIterator[Rig]:
    """One arm, nothing wrong."""
    async with open_rig(data_dir) as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Two real bridges: a session's, and the one that its rooms are on."""
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    with remote_pair(tmp_path) as made:
        yield made
