# SPDX-License-Identifier: Apache-2.0
"""One child process: started so that it cannot outlive us, read line by line, ended step by step."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_CHUNK = 65536
_LONGEST_LINE = 8192


@dataclass(frozen=True, slots=True)
class Program:
    """What to keep running. Higher ranks are stopped first. `no_restart_because` is why it is not started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    rank: int = 0
    no_restart_because: str = ""


@dataclass(frozen=True, slots=True)
class StopTimes:
    """How long an ordinary end may take, and how long when a person has asked twice."""

    patient_s: float = 8.0
    hurried_s: float = 0.5


def _die_with(parent: int) -> Callable[[], None]:
    """What the child runs before exec: SIGKILL when we die, also when we died just now."""

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


async def start(program: Program) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    """Start it in a session of its own: Ctrl-C reaches us alone, and nothing it asks can wait for a keyboard.

    Its output comes by a pipe of ours, because asyncio's own would keep `wait` waiting for grandchildren that hold it.
    Call from the main thread: the kernel ties a child to the thread that made it.
    """
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            env={**os.environ, **program.environment},
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    stream = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb"))
    return process, stream


async def read_lines(stream: asyncio.StreamReader, take: Callable[[bytes], None]) -> None:
    """Give each line to `take` until the stream ends; a line without end is cut, never gathered."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            take(line)
        if len(rest) > _LONGEST_LINE:
            take(rest)
            rest = b""
    if rest:
        take(rest)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to the process group a child leads; its own children go with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def stop(process: asyncio.subprocess.Process, times: StopTimes, hurry: asyncio.Event) -> bool:
    """End a process by SIGTERM, else by SIGKILL with its children; True when the first was enough.

    Not SIGINT: a process that is still importing would answer it with a traceback. `hurry` set means: a person asked
    twice.
    """
    with suppress(ProcessLookupError):
        process.terminate()
    if await _ended_in_time(process, times, hurry):
        return True
    signal_group(process.pid, signal.SIGKILL)
    await process.wait()
    return False


async def _ended_in_time(process: asyncio.subprocess.Process, times: StopTimes, hurry: asyncio.Event) -> bool:
    ended, hurried = asyncio.ensure_future(process.wait()), asyncio.ensure_future(hurry.wait())
    try:
        await asyncio.wait({ended, hurried}, timeout=times.patient_s, return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            # Even then a driver wants a moment to let go of its motors.
            await asyncio.wait({ended}, timeout=times.hurried_s)
        return ended.done()
    finally:
        for future in (ended, hurried):
            future.cancel()
