# SPDX-License-Identifier: Apache-2.0
"""The real app over FakeArms: no ROS, no network, and a clock that stands still."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lerobot_arena.testing.bridge_rig import Rig, open_rig

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
