# SPDX-License-Identifier: Apache-2.0
"""A killed guard's publisher is no rival; a living one is. Epochs grow over restarts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lerobot_arena.guard.predecessors import Legacy, epochs, foreign_publishers, run_folder, take_over

PROGRAM = """
import sys, time
from pathlib import Path
from lerobot_arena.guard.predecessors import take_over
print(take_over(Path(sys.argv[1]), publishers=sys.argv[2], wall_ns=int(sys.argv[3])).first_epoch, flush=True)
time.sleep(60)
"""
SECOND = 1_000_000_000


def guard_in_another_process(path: Path, publishers: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), publishers, str(5 * SECOND)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline().strip().isdigit()
    return process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "guard-arm.json"


def test_a_predecessor_counts_while_it_lives_and_not_after(path: Path) -> None:
    old = guard_in_another_process(path, "aaaa")
    try:
        legacy = take_over(path, publishers="bbbb", wall_ns=0)
        assert legacy.dead_publishers() == frozenset()
        os.kill(old.pid, signal.SIGSTOP)
        assert legacy.dead_publishers() == frozenset(), "stopped is not gone"
        old.kill()
        old.wait(10)
        assert legacy.dead_publishers() == {"aaaa"}
    finally:
        old.kill()
        old.wait(10)
        if old.stdout:
            old.stdout.close()


def test_epochs_grow_over_restarts_even_when_the_clock_goes_back(path: Path) -> None:
    first = take_over(path, publishers="a", wall_ns=1000 * SECOND)
    used = next(epochs(first.first_epoch))
    again = take_over(path, publishers="b", wall_ns=10 * SECOND)
    assert again.first_epoch > used
    path.unlink()
    assert take_over(path, publishers="c", wall_ns=2000 * SECOND).first_epoch > used


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"processes": [{"pid": 1}], "next_epoch": 3}', '{"processes": 7}']
)
def test_a_damaged_file_makes_nobody_dead(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    legacy = take_over(path, publishers="a", wall_ns=7 * SECOND)
    assert legacy == Legacy(7000)


def test_the_file_stays_small(path: Path) -> None:
    for boot in range(20):
        take_over(path, publishers=f"p{boot}", wall_ns=0)
    assert path.stat().st_size < 2000


def test_only_strangers_that_live_are_foreign() -> None:
    endpoints = [("aa01", "/arm/guard"), ("bb02", "/arm/guard"), ("cc03", "/evil/node")]
    assert foreign_publishers(endpoints, own="aa", dead=frozenset({"bb"})) == ("/evil/node",)
    assert foreign_publishers(endpoints, own="aa", dead=frozenset()) == ("/arm/guard", "/evil/node")


def test_the_run_folder_follows_the_environment(tmp_path: Path) -> None:
    assert run_folder({"ARENA_DATA_DIR": str(tmp_path)}) == tmp_path / "run"
    assert run_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/lerobot_arena/run")
