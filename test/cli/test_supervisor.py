# SPDX-License-Identifier: Apache-2.0
"""The supervisor with real, tiny processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lerobot_arena.cli.supervisor.child import Program, StopTimes
from lerobot_arena.cli.supervisor.log import LogLine, RunLog
from lerobot_arena.cli.supervisor.restart import RestartPolicy
from lerobot_arena.cli.supervisor.supervisor import Supervisor

QUICK = RestartPolicy(first_delay_s=0.05, second_delay_s=0.05, longest_delay_s=0.1, crash_loop_after=3)
SHORT = StopTimes(patient_s=60.0, hurried_s=0.2)
# Appends its name when it is asked to end, so that the order of ends can be read.
POLITE = """
import signal, sys, time
name, book = sys.argv[1:3]
def end(*_):
    open(book, "a").write(name + "\\n"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)  # it lives until it is ended
"""
DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)  # it lives until it is ended
"""
LEAKY = """
import os, subprocess, sys
print(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]).pid, flush=True)  # outlives us
os._exit(1)
"""


class Heard(RunLog):
    """A log that can be waited on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lines: list[LogLine] = []

    def add(self, line: LogLine) -> None:
        self.lines.append(line)
        super().add(line)

    def count(self, text: str) -> int:
        return sum(text in line.text for line in self.lines)


def python(name: str, code: str, *arguments: str, rank: int = 0) -> Program:
    return Program(name, [sys.executable, "-S", "-c", code, *arguments], rank=rank)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)  # how often it looks; the programs are other processes


@asynccontextmanager
async def supervised(tmp_path: Path, *programs: Program) -> AsyncIterator[tuple[Supervisor, Heard]]:
    log = Heard(tmp_path / "logs")
    supervisor = Supervisor(programs, log, restart=QUICK, times=SHORT)
    supervisor.start()
    try:
        yield supervisor, log
    finally:
        supervisor.hurry()
        await supervisor.stop()
        log.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_killed_program_comes_back_and_the_log_says_why(tmp_path: Path) -> None:
    async with supervised(tmp_path, python("guard", POLITE, "guard", str(tmp_path / "book"))) as (
        supervisor,
        log,
    ):
        await until(lambda: log.count("up") == 1)
        os.kill(supervisor.pids()["guard"], signal.SIGKILL)
        await until(lambda: log.count("up") == 2)
        assert log.count("guard was killed by SIGKILL; starting it again") == 1


async def test_a_program_that_must_not_come_back_stays_away_and_says_why(tmp_path: Path) -> None:
    driver = replace(python("driver", "raise SystemExit(3)"), no_restart_because="support the arm first")
    async with supervised(tmp_path, driver) as (supervisor, heard):
        await until(lambda: heard.count("support the arm first") == 1)
        await asyncio.sleep(5 * QUICK.first_delay_s)  # a restart would come within one
        assert not supervisor.pids() and heard.count("starting it again") == 0


async def test_programs_are_stopped_from_the_highest_rank_down(tmp_path: Path) -> None:
    book = tmp_path / "book"
    names = ["embodiment", "guard", "inference", "bridge"]
    programs = [python(name, POLITE, name, str(book), rank=rank) for rank, name in enumerate(names)]
    async with supervised(tmp_path, *programs) as (supervisor, log):
        await until(lambda: log.count("up") == 4)
        await supervisor.stop()
        assert book.read_text().split() == names[::-1]
        assert supervisor.pids() == {}
        assert not any(line.level for line in log.lines), "an orderly end is no warning"


async def test_a_program_that_does_not_listen_is_killed_and_said_so(tmp_path: Path) -> None:
    async with supervised(tmp_path, python("deaf", DEAF)) as (supervisor, log):
        await until(lambda: log.count("up") == 1)
        pid, started = supervisor.pids()["deaf"], time.monotonic()
        supervisor.hurry()
        await supervisor.stop()
        assert not is_alive(pid)
        assert time.monotonic() - started < 30.0, "asked twice, and it still waited"
        assert log.count("deaf did not end when asked: killed.") == 1


async def test_a_program_that_is_still_importing_ends_without_a_traceback(tmp_path: Path) -> None:
    log = Heard(tmp_path / "logs")
    slow = python("slow", "print('up', flush=True); import time; time.sleep(60)")  # until it is ended
    supervisor = Supervisor([slow], log, restart=QUICK, times=SHORT)
    supervisor.start()
    await until(lambda: log.count("up") == 1)
    await supervisor.stop()
    assert [line.text for line in log.lines] == ["up"]
    log.close()


async def test_what_a_dead_program_left_behind_is_ended_too(tmp_path: Path) -> None:
    async with supervised(tmp_path, python("leaky", LEAKY)) as (_, log):
        await until(lambda: log.count("starting it again") >= 1)
        orphan = int(next(line.text for line in log.lines if line.source == "leaky"))
        await until(lambda: not is_alive(orphan))


async def test_a_crash_loop_names_the_last_words_and_goes_on_trying(tmp_path: Path) -> None:
    code = "import sys; print('error: no arm at /dev/ttyACM0'); sys.exit(2)"
    async with supervised(tmp_path, python("embodiment", code)) as (supervisor, log):
        message = await asyncio.wait_for(supervisor.crash_message, 10.0)
        assert "embodiment ended with code 2, 3 times in a row" in message
        assert "error: no arm at /dev/ttyACM0" in message
        tries = log.count("error: no arm")
        await until(lambda: log.count("error: no arm") > tries)


async def test_a_program_that_cannot_be_started_is_a_failure_like_any_other(tmp_path: Path) -> None:
    async with supervised(tmp_path, Program("ghost", ["/nowhere/ghost"])) as (supervisor, _):
        assert "cannot be started" in await asyncio.wait_for(supervisor.crash_message, 10.0)


async def test_a_line_without_end_is_cut_not_gathered(tmp_path: Path) -> None:
    # It lives until it is ended.
    code = "import sys; sys.stdout.write('x' * 1_000_000); sys.stdout.flush(); import time; time.sleep(60)"
    async with supervised(tmp_path, python("flood", code)) as (_, log):
        await until(lambda: len(log.lines) >= 10)
        assert max(len(line.text) for line in log.lines) <= 4000


PARENT = """
import asyncio, sys
from pathlib import Path
from lerobot_arena.cli.supervisor.child import Program
from lerobot_arena.cli.supervisor.log import RunLog
from lerobot_arena.cli.supervisor.supervisor import Supervisor
async def main():
    supervisor = Supervisor([Program("deaf", [sys.executable, "-S", "-c", sys.argv[2]])], RunLog(Path(sys.argv[1])))
    supervisor.start()
    while not supervisor.pids():
        await asyncio.sleep(0.01)  # how often it looks
    print(supervisor.pids()["deaf"], flush=True)
    await asyncio.sleep(60)  # until it is killed
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), DEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:  # noqa: ASYNC220
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        await until(lambda: "deaf: up" in (tmp_path / "arena.log").read_text())
        parent.send_signal(number)
        parent.wait()
        await until(lambda: not is_alive(pid), timeout_s=20.0)
