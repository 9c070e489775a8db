# SPDX-License-Identifier: Apache-2.0
"""A recorder on a clock that is moved by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.recording.params import RecorderParams
from lerobot_arena.testing.recording_rig import Rig


@pytest.fixture
def make_rig(tmp_path: Path) -> Callable[..., Rig]:
    def make(**options: Any) -> Rig:
        params = RecorderParams(**{"min_free_mb": 0, "images": "all", **options.pop("params", {})})
        return Rig(options.pop("root", tmp_path / "recordings"), params, **options)

    return make
