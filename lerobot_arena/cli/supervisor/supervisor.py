# SPDX-License-Identifier: Apache-2.0
"""Starts programs, starts them again when they end unasked, and stops them in order."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Sequence

from lerobot_arena.cli.supervisor import child
from lerobot_arena.cli.supervisor.child import Program, StopTimes
from lerobot_arena.cli.supervisor.log import RunLog, parse_line
from lerobot_arena.cli.supervisor.restart import Restart, RestartHistory, RestartPolicy, describe_exit

_TAIL_LINES = 3


class _Kept:
    """One program and its present process."""

    def __init__(self, program: Program, policy: RestartPolicy) -> None:
        self.program = program
        self.history = RestartHistory(policy)
        self.process: asyncio.subprocess.Process | None = None
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.keeping: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps programs running. One event loop, in the main thread."""

    def __init__(
        self,
        programs: Sequence[Program],
        log: RunLog,
        *,
        restart: RestartPolicy | None = None,
        times: StopTimes | None = None,
    ) -> None:
        self._kept = [_Kept(program, restart or RestartPolicy()) for program in programs]
        self._log = log
        self._times = times or StopTimes()
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self.crash_message: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when a program keeps failing: its name and last words. It is still being restarted."""

    def pids(self) -> dict[str, int]:
        """Name → process id of what runs now."""
        return {kept.program.name: kept.process.pid for kept in self._kept if kept.process is not None}

    def start(self) -> None:
        """Start every program."""
        for kept in self._kept:
            kept.keeping = asyncio.create_task(self._keep(kept), name=kept.program.name)

    def hurry(self) -> None:
        """A second request to end: no more patience."""
        self._hurry.set()

    async def stop(self) -> None:
        """End all programs, the highest rank first, those of one rank together."""
        self._ending.set()
        for rank in sorted({kept.program.rank for kept in self._kept}, reverse=True):
            await asyncio.gather(*(self._end(kept) for kept in self._kept if kept.program.rank == rank))

    async def _end(self, kept: _Kept) -> None:
        process = kept.process
        lives = process is not None and process.returncode is None
        if process is not None and lives and not await child.stop(process, self._times, self._hurry):
            self._log.say(f"{kept.program.name} did not end when asked: killed.", level="WARN")
        if kept.keeping is not None:
            await kept.keeping

    async def _keep(self, kept: _Kept) -> None:
        name = kept.program.name
        while not self._ending.is_set():
            started_s = time.monotonic()
            code = await self._run_once(kept)
            if self._ending.is_set():
                return
            if because := kept.program.no_restart_because:
                message = f"{name} {describe_exit(code)} and is not started again: {because}"
                self._log.say(message, level="ERROR")
                return
            restart = kept.history.after_exit(time.monotonic() - started_s)
            self._report(kept, f"{name} {describe_exit(code)}", restart)
            await self._pause(restart.delay_s)

    async def _run_once(self, kept: _Kept) -> int:
        kept.tail.clear()
        try:
            process, output = await child.start(kept.program)
        except OSError as error:
            self._take(kept, f"[ERROR] cannot be started: {error}".encode())
            return 127
        kept.process = process
        reading = asyncio.create_task(child.read_lines(output, lambda raw: self._take(kept, raw)))
        if self._ending.is_set():
            # Asked to end while it was being started: the stop saw no process to end.
            await child.stop(process, self._times, self._hurry)
        code = await process.wait()
        # Whatever it left behind would go on holding the pipe, a port or a camera.
        child.signal_group(process.pid, signal.SIGKILL)
        await asyncio.wait({reading}, timeout=1.0)
        reading.cancel()
        kept.process = None
        return code

    def _take(self, kept: _Kept, raw: bytes) -> None:
        line = parse_line(kept.program.name, raw)
        kept.tail.append(line.text)
        self._log.add(line)

    async def _pause(self, delay_s: float) -> None:
        try:
            await asyncio.wait_for(self._ending.wait(), delay_s)
        except TimeoutError:
            return

    def _report(self, kept: _Kept, what: str, restart: Restart) -> None:
        if not restart.is_crash_loop:
            self._log.say(f"{what}; starting it again in {restart.delay_s:g} s.", level="WARN")
            return
        last_words = " | ".join(line for line in kept.tail if line) or "it said nothing"
        message = f"{what}, {restart.failures} times in a row. Its last words: {last_words}"
        self._log.say(f"{message}. Trying again every {restart.delay_s:g} s; Ctrl-C ends.", level="ERROR")
        if not self.crash_message.done():
            self.crash_message.set_result(message)
