# SPDX-License-Identifier: Apache-2.0
"""A policy folder described by itself: what it tells, and what is left to a session."""

import json
import shutil
from pathlib import Path

import pytest

import lerobot_arena
from lerobot_arena.core.errors import ArenaError, PolicyError
from lerobot_arena.inference.describe import describe_policy
from lerobot_arena.testing.policy_folders import write_onnx

DEMO = Path(lerobot_arena.__file__).parent / "models" / "demo"


def changed(tmp_path: Path, **changes: object) -> str:
    """The demo's folder with another manifest; None removes a key."""
    tmp_path.mkdir(exist_ok=True)
    own = json.loads((DEMO / "manifest.json").read_text()) | changes
    shutil.copy(DEMO / "model.onnx", tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({k: v for k, v in own.items() if v is not None}))
    return str(tmp_path)


def test_the_demo_tells_everything() -> None:
    found = describe_policy(str(DEMO))
    assert (found.kind, found.policy_type, found.unit, found.fps) == ("onnx", "act", "normalized", 30.0)
    assert found.joint_names is not None and len(found.joint_names) == found.action_size == 6
    assert [camera.name for camera in found.cameras] == ["front"] and not found.takes_task


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    found = describe_policy(changed(tmp_path, unit=None, fps=None, stats=None))
    assert found.unit is None and found.fps is None and found.joint_names is not None


def test_a_folder_that_no_session_could_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="radians"):
        describe_policy(changed(tmp_path, unit="radians"))
    with pytest.raises(PolicyError, match="joints"):
        describe_policy(changed(tmp_path / "again", joint_names=None))


def test_a_policy_without_any_file_is_none(tmp_path: Path) -> None:
    with pytest.raises(ArenaError):
        describe_policy(str(tmp_path))


def test_a_small_export_is_described(tmp_path: Path) -> None:
    assert describe_policy(str(write_onnx(tmp_path / "onnx"))).kind == "onnx"
