# SPDX-License-Identifier: Apache-2.0
"""Some 250 files nobody should be able to publish, each through the same child process as a real upload."""

import contextlib
import re
import resource
import tempfile
from pathlib import Path

import psutil
import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.adapters import ONNX_METADATA, UNITREE_VELOCITY
from lerobot_arena.platform.catalog.checks import Bundle, Checks
from lerobot_arena.platform.catalog.limits import ChildLimits, Limits, MiB
from lerobot_arena.platform.catalog.sandbox import FOLDER_PREFIX
from lerobot_arena.testing.catalog_files import deploy_onnx
from lerobot_arena.testing.catalog_hostile import Hostile, hostile_files

for _name in ("mujoco", "onnx", "trimesh"):
    pytest.importorskip(_name)

FILES = hostile_files()
CHECKS = Checks(Limits(child=ChildLimits(memory_bytes=1536 * MiB, cpu_s=10, wall_s=60.0)))


def refusal(hostile: Hostile, folder: Path) -> str:
    """The sentence. The file is written first, as an upload is."""
    path = folder / {"policy": "p.onnx", "robot": "r.zip", "scene": "s.glb", "contract": "policy.yaml"}.get(
        hostile.kind, "good.onnx"
    )
    path.write_bytes(deploy_onnx() if hostile.kind == "deploy" else hostile.make())
    with pytest.raises(InvalidInput) as refused:
        match hostile.kind:
            case "policy":
                CHECKS.policy(path, ONNX_METADATA, hostile.config)
            case "deploy":
                CHECKS.policy(path, UNITREE_VELOCITY, hostile.config)
            case "robot":
                CHECKS.robot(Bundle(path, hostile.entry))
            case "scene":
                CHECKS.scene(path)
            case "contract":
                CHECKS.contract(path)
    return str(refused.value)


@pytest.mark.parametrize("hostile", FILES, ids=lambda hostile: hostile.name)
def test_it_is_refused_in_one_sentence(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, uploads = tmp_path / "tmp", tmp_path / "uploads"
    temporary.mkdir()
    uploads.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    descriptors = psutil.Process().num_fds()
    said = refusal(hostile, uploads)
    assert re.search(hostile.says, said, re.IGNORECASE), said
    assert said.endswith((".", ")")) and "\n" not in said and len(said) <= 600
    assert str(tmp_path) not in said and FOLDER_PREFIX not in said, "no paths of the server"
    assert not list(temporary.iterdir()), "nothing is left behind"
    assert [path.name for path in uploads.iterdir()] == [next(uploads.iterdir()).name]
    # Other tests of this process may give theirs back meanwhile, and have children of their own.
    assert psutil.Process().num_fds() <= descriptors
    assert not children_of_ours()


def children_of_ours() -> list[psutil.Process]:
    """Checking children that still run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("lerobot_arena.platform.catalog" in part for part in child.cmdline()):
                found.append(child)
    return found


def test_the_process_that_asks_needs_no_memory_for_them(tmp_path: Path) -> None:
    """What is large is never read here: neither a bomb nor the file it comes in."""
    bomb = next(item for item in FILES if item.name == "zip_bomb_of_many_members")
    path = tmp_path / "r.zip"
    path.write_bytes(bomb.make() + bytes(90 * MiB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        with pytest.raises(InvalidInput):
            CHECKS.robot(Bundle(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * 1024, "KiB"


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 100
    assert len({item.name for item in FILES}) == len(FILES)
