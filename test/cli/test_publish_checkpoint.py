# SPDX-License-Identifier: Apache-2.0
"""`arena publish` of a checkpoint's folder, and the options of `arena session` that the API has, on the real app."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.platform.catalog.checkpoint import SUFFIXES
from lerobot_arena.platform.catalog.item import CHECKPOINT
from lerobot_arena.testing.checkpoint_zip import DEMO
from lerobot_arena.testing.live_bridge import LiveBridge

SCENE = "kind: scene\nslug: x\nglb: x.glb\n"


def arena(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A checkpoint's folder with what is nobody else's business."""
    folder = tmp_path / "pretrained_model"
    shutil.copytree(DEMO, folder)
    (folder / "train_config.json").write_text('{"dataset": {"root": "/home/anna"}}')
    (folder / "notes.txt").write_text("mine")
    (folder / ".secret.json").write_text("{}")
    (folder / "link.json").symlink_to("/etc/hostname")
    return folder


def test_a_checkpoint_is_zipped_sent_and_driven(annas_bridge: LiveBridge, policy: Path) -> None:
    (found,) = json.loads(arena("publish", policy, "--slug", "pick", "--json").stdout)
    assert (found["policy"], found["title"]) == ("catalog:anna/pick@1", "pick")
    shelf = annas_bridge.services.published.shelf
    names = {member["path"] for member in shelf.get(CHECKPOINT, "anna/pick").facts["members"]}
    assert names == {path.name for path in DEMO.iterdir() if path.suffix in SUFFIXES}
    again = arena("publish", policy, "--slug", "pick", "--title", "Pick the cube")
    assert again.exit_code == 0 and "version 2: --policy catalog:anna/pick@2" in again.stdout, again.output
    assert "Pick the cube" in arena("catalog", "list", "checkpoints").stdout
    joints = ("one", "two", "three", "four", "five", "six")
    named = [word for name in joints for word in ("--joint-name", name)]
    done = arena("session", "create", "s", "--policy", "catalog:anna/pick", "--robot", "", *named)
    assert done.exit_code == 0, done.output
    assert annas_bridge.services.book.get("s").wanted.joint_names == joints


@pytest.mark.parametrize(
    ("prepare", "options", "words"),
    [
        (lambda folder: None, [], "--slug"),
        (lambda folder: (folder / "scene.yaml").write_text(SCENE), ["--slug", "x"], "are for"),
        (lambda folder: [path.unlink() for path in folder.glob("*.onnx")], ["--slug", "x"], "no policy folder"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_not_sent(
    annas_bridge: LiveBridge, policy: Path, prepare: Any, options: list[str], words: str
) -> None:
    prepare(policy)
    result = arena("publish", policy, *options)
    assert result.exit_code == 2 and words in result.stderr, result.output
    assert not annas_bridge.services.published.shelf.list(CHECKPOINT)


def test_sessions_are_listed_by_kind_and_may_join_rooms_elsewhere(annas_bridge: LiveBridge) -> None:
    assert arena("session", "create", "s", "--policy", "demo", "--robot", "").exit_code == 0
    (listed,) = json.loads(arena("session", "list", "--json").stdout)
    (again,) = json.loads(arena("session", "list", "--kind", listed["kind"], "--json").stdout)
    assert again["session_id"] == listed["session_id"] == "s"
    assert "no kind" in arena("session", "list", "--kind", "x").stderr
    far = arena(
        "session",
        "create",
        "t",
        "--policy",
        "demo",
        "--robot",
        "",
        "--arena-server-url",
        "http://far.invalid",
    )
    assert far.exit_code == 1 and "far.invalid" in far.stderr, "the server does not allow it"
