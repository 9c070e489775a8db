# SPDX-License-Identifier: Apache-2.0
"""A guard process with somebody who stands in for everybody around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lerobot_arena.testing.guard_rig import GuardProcess, StandIn


@pytest.fixture
def stand_in(ros_domain: int, data_dir: Path) -> Iterator[StandIn]:
    made = StandIn()
    made.want()
    yield made
    made.close()


@pytest.fixture
def guard(stand_in: StandIn, tmp_path: Path) -> Iterator[GuardProcess]:
    made = GuardProcess("arm", tmp_path / "guard.txt")
    yield made
    if made.process.poll() is None:
        assert made.end() == 0, (tmp_path / "guard.txt").read_text()
