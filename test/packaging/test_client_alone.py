# SPDX-License-Identifier: Apache-2.0
"""docs/client.md, "Install": a checkout with httpx and websockets, and nothing else, is a client."""

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lerobot_arena
from lerobot_arena.testing.live_bridge import live_bridge

_ROOT = Path(lerobot_arena.__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not (_ROOT / "setup.py").is_file(), reason="installed without its sources")

_PROGRAM = """
import sys
from lerobot_arena.client import Arena
with Arena() as arena:
    assert arena.health()["status"] == "healthy"
    arena.robotics.create("w", "r")
    with arena.join_robotics("w", "r", role="producer") as room:
        assert room.send_joints({"a": 1.0})
    arena.estop()
print(sorted({"numpy", "typer", "yaml", "pydantic", "rclpy"} & sys.modules.keys()))
"""


def _only(folder: Path, *names: str) -> Path:
    """Links to these distributions and what they need, as pip would install them."""
    wanted, seen = [*names], set()
    while wanted:
        found = distribution(wanted.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        for top in {
            file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}
        }:
            (folder / top).symlink_to(Path(str(found.locate_file(top))))
        needs = map(Requirement, found.requires or ())
        wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return folder


def test_a_checkout_with_two_packages_is_a_client(tmp_path: Path, data_dir: Path) -> None:
    packages = tmp_path / "site"
    packages.mkdir()
    places = os.pathsep.join(map(str, (_ROOT, _only(packages, "httpx", "websockets"))))
    with live_bridge(data_dir) as bridge:
        # -S: no site-packages of this environment, and so nothing but the two.
        done = subprocess.run(
            [sys.executable, "-S", "-c", _PROGRAM],
            env={"PYTHONPATH": places, "ARENA_URL": bridge.url, "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
