# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the inference tests."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.inference.params import InferenceParams
from lerobot_arena.testing.inference_rig import Rig
from lerobot_arena.testing.policy_folders import CheckpointFolder


@pytest.fixture
def checkpoint(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoint")


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    with contextlib.ExitStack() as stack:

        def make(**params: Any) -> Rig:
            rig = Rig(InferenceParams(**{"nice": 0, "stale_s": 5.0, "room_skew_s": 5.0, **params}))
            stack.callback(rig.engine.close)
            return rig

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()
