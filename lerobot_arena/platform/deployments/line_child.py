# SPDX-License-Identifier: Apache-2.0
"""Our end of a confined process that answers a JSON line with a JSON line, and maybe with bytes after it."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.catalog.sandbox import end_child, start_child

_START_TIMEOUT_S = 60.0
_MOST_LINE = 1 << 16


class LineChild:
    """Answers one call at a time. Make it with `open_line_child`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        pipe: asyncio.BaseTransport,
        folder: Path,
        lost: str,
    ) -> None:
        self._process, self._reader, self._pipe = process, reader, pipe
        self._folder, self._lost_text = folder, lost
        self._has_ended = False

    @property
    def is_alive(self) -> bool:
        """The process runs."""
        return not self._has_ended and self._process.poll() is None

    async def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message. Raises InvalidInput for a bad one, Unavailable when the process is lost."""
        # In a thread, because a message may be large and the process slow to read it.
        await asyncio.to_thread(self._tell, message)
        line = await self._reader.readline()
        if not line:
            raise self._lost()
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise (Unavailable if answer.get("is_lost") else InvalidInput)(str(answer.get("error")))
        return answer

    async def read(self, count: int) -> bytes:
        """So many bytes after an answer's line."""
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError:
            raise self._lost() from None

    async def close(self) -> None:
        """End the process; its folder goes too."""
        self._pipe.close()
        # It goes first: a thread that still writes to it holds the lock of its input until then.
        await asyncio.to_thread(end_child, self._process)
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, True)

    def _tell(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            line = json.dumps(dict(message), allow_nan=False).encode() + b"\n"
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"The request is not JSON: {error}") from error
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # gone, or closed already
            raise self._lost() from error

    def _lost(self) -> Unavailable:
        self._has_ended = True
        return Unavailable(self._lost_text)


async def open_line_child(module: str, folder: Path, asked: Mapping[str, Any], *, lost: str) -> LineChild:
    """Run `module` in `folder`, which goes with it, until it has answered `asked`; `lost` is said when it has ended.

    Raises Unavailable, also for what it refuses.
    """
    try:
        child = await _begin(module, folder, lost)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            await child.ask(asked)
    except BaseException as error:
        await child.close()
        if isinstance(error, TimeoutError):
            raise Unavailable(f"It did not start within {_START_TIMEOUT_S:g} s.") from error
        if isinstance(error, InvalidInput):
            raise Unavailable(str(error)) from error
        raise
    return child


async def _begin(module: str, folder: Path, lost: str) -> LineChild:
    ours, theirs = os.pipe()
    try:
        process = await asyncio.to_thread(start_child, module, theirs, folder)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    reader = asyncio.StreamReader(limit=_MOST_LINE)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    return LineChild(process, reader, pipe, folder, lost)
