# SPDX-License-Identifier: Apache-2.0
"""Who publishes commands: living processes count, one known to be killed does not."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lerobot_arena.embodiment.publishers import LivingPublishers, Process, processes_like


def gid(pid: int, entity: int = 0x1303) -> bytes:
    low = (pid & 0xFFFF).to_bytes(2, "little")
    return bytes.fromhex("010f78fd") + low + bytes.fromhex("ae35") + bytes(4) + entity.to_bytes(4, "big")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.communicate()


def test_a_killed_process_stops_counting_while_the_graph_still_lists_it(
    process: subprocess.Popen[bytes],
) -> None:
    living = LivingPublishers()
    old, new = (gid(process.pid), "guard"), (gid(os.getpid()), "guard")
    assert len(living.among([old])) == 1
    assert len(living.among([old, new])) == 2
    process.kill()
    # Left as a zombie: that commands nothing either.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert living.among([old, new]) == living.among([new])


def test_a_publisher_whose_process_was_never_here_counts_until_the_graph_drops_it() -> None:
    """Another machine, or another PID namespace of this one."""
    living = LivingPublishers(look=lambda low: frozenset())
    ours, theirs = (gid(1), "guard"), (gid(2), "teleop")
    assert len(living.among([ours, theirs])) == 2
    assert len(living.among([theirs])) == 1


def test_another_middlewares_gids_always_count() -> None:
    living = LivingPublishers()
    foreign = bytes.fromhex("0110") + gid(99999)[2:]
    assert len(living.among([(foreign, "cyclone"), (gid(os.getpid()), "guard")])) == 2


def test_a_pid_that_another_process_took_over_is_not_the_publisher() -> None:
    processes: set[Process] = {(70000, "100")}
    living = LivingPublishers(look=lambda low: frozenset(processes))
    both = [(gid(70000), "guard"), (gid(4), "guard")]
    assert len(living.among(both)) == 2
    processes.clear()
    processes.add((70000, "200"))
    assert len(living.among(both[:1])) == 1, "alone it is listed, gone or not"
    assert len(living.among(both)) < 2


def test_a_running_process_is_found_by_its_low_bits() -> None:
    found = processes_like(os.getpid() & 0xFFFF)
    assert os.getpid() in {pid for pid, _ in found}
    assert all(pid & 0xFFFF == os.getpid() & 0xFFFF for pid, _ in found)
