# SPDX-License-Identifier: Apache-2.0
"""Every Python example of docs/client.md runs as it stands."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lerobot_arena.core.verdict import Decision
from lerobot_arena.testing.bridge_fake_values import JOINTS
from lerobot_arena.testing.live_bridge import live_bridge
from lerobot_arena.testing.recordings import write_session

TEXT = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


class Robot:
    """What the reader has."""

    def joints(self) -> dict[str, float]:
        return dict.fromkeys(JOINTS, 1.0)

    def jpeg(self) -> bytes:
        return bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1])

    def move_to(self, joints: Any) -> None:
        assert joints


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(
    number: int,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_session(data_dir / "recordings", [Decision.PASS] * 30, files=1)
    with live_bridge(data_dir) as bridge:
        monkeypatch.setenv("ARENA_URL", bridge.url)
        exec(compile(EXAMPLES[number], f"docs/client.md, example {number}", "exec"), {"robot": Robot()})
    said = capsys.readouterr().out
    assert "print(" not in EXAMPLES[number] or said


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_every_group_and_name_is_mentioned() -> None:
    from lerobot_arena.client import Arena

    arena = Arena("http://127.0.0.1:9")
    for name in [name for name in vars(arena) if not name.startswith("_")]:
        assert f"`arena.{name}" in TEXT, name
