# SPDX-License-Identifier: Apache-2.0
"""A long answer into a file: whole or not there under its name, with progress, and gone on with after a break."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from lerobot_arena.client import failures
from lerobot_arena.client.call import Call
from lerobot_arena.client.transport import AwaitingTransport, BlockingTransport
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, Unavailable

Progress = Callable[[int], None]
"""Told how many bytes there are so far."""

MOST_BREAKS = 5
_PART_BYTES = 2**18


class Saving:
    """One file in the making: `<name>.part` with what came, `<name>.part.json` with what it is a part of."""

    def __init__(self, call: Call[Any], path: Path, on_progress: Progress | None, *, overwrite: bool) -> None:
        if path.exists() and not overwrite:
            raise InvalidInput(f"{path} is there already: choose another name, or say overwrite.")
        self._call, self._path, self._on_progress = call, path, on_progress
        self._part = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".part.json")
        self._file: BinaryIO | None = None
        self._version = self._known_version()
        self._at = self._part.stat().st_size if self._version else 0

    @property
    def call(self) -> Call[Any]:
        """What to ask for now: the rest, where a beginning is there."""
        if not self._at:
            return self._call
        return replace(self._call, query={**self._call.query, "from_byte": self._at})

    @property
    def headers(self) -> dict[str, str]:
        """The rest only of the very same bytes."""
        return {"If-Match": self._version} if self._at else {}

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """An answer came; its bytes follow."""
        if not self._at:
            self._version = headers.get("etag", "")
            self._write_note()
        try:
            self._file = self._part.open("ab" if self._at else "wb")
        except OSError as error:
            raise InvalidInput(f"{self._part} cannot be written: {error.strerror}.") from error

    def write(self, part: bytes) -> None:
        """Raises Unavailable when the disk is full."""
        assert self._file is not None
        try:
            self._file.write(part)
        except OSError as error:
            raise Unavailable(f"{self._part} cannot be written: {error.strerror}.") from error
        self._at += len(part)
        if self._on_progress is not None:
            self._on_progress(self._at)

    def pause(self) -> None:
        """The connection broke; what came is kept."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def can_go_on(self) -> bool:
        """The bridge said what it sends, so that the rest can be asked for."""
        return bool(self._version)

    def start_over(self) -> None:
        """What came belongs to something that is no more."""
        self.pause()
        self._version, self._at = "", 0

    def finish(self) -> Path:
        """All of it is there."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self.pause()
        os.replace(self._part, self._path)
        self._note.unlink(missing_ok=True)
        return self._path

    def _known_version(self) -> str:
        try:
            note = json.loads(self._note.read_text())
            is_same = note["path"] == self._call.path and note["query"] == self._query()
            return str(note["etag"]) if is_same and self._part.is_file() else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _write_note(self) -> None:
        note = {"path": self._call.path, "query": self._query(), "etag": self._version}
        try:
            self._note.write_text(json.dumps(note)) if self._version else self._note.unlink(missing_ok=True)
        except OSError as error:
            raise InvalidInput(f"{self._note} cannot be written: {error.strerror}.") from error

    def _query(self) -> dict[str, Any]:
        return {key: value for key, value in self._call.query.items() if value is not None}

    def next_after(self, error: ArenaError, breaks: int) -> None:
        """Go on after a break. Raises `error` when that is no use."""
        self.pause()
        if isinstance(error, Conflict) and self._at:
            self.start_over()
            return
        if not self.can_go_on:
            self._part.unlink(missing_ok=True)
        if not (isinstance(error, Unavailable) and self._at and self.can_go_on and breaks < MOST_BREAKS):
            raise error


def save(
    transport: BlockingTransport,
    call: Call[Any],
    path: Path,
    on_progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """The file, when all of it is there. A break is gone on with at once, and by the next call of the same."""
    saving, breaks = Saving(call, path, on_progress, overwrite=overwrite), 0
    while True:
        try:
            with transport.stream(saving.call, saving.headers) as response:
                if response.status_code != 200:
                    raise failures.failure_of(response.status_code, response.read(), response.headers)
                saving.begin(response.status_code, response.headers)
                for part in response.iter_bytes(_PART_BYTES):
                    saving.write(part)
            return saving.finish()
        except ArenaError as error:
            breaks += 1
            saving.next_after(error, breaks)
        finally:
            saving.pause()


async def save_async(
    transport: AwaitingTransport,
    call: Call[Any],
    path: Path,
    on_progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """The same, awaited; the disk is written in threads."""
    import asyncio

    saving, breaks = Saving(call, path, on_progress, overwrite=overwrite), 0
    while True:
        try:
            async with transport.stream(saving.call, saving.headers) as response:
                if response.status_code != 200:
                    raise failures.failure_of(response.status_code, await response.aread(), response.headers)
                saving.begin(response.status_code, response.headers)
                async for part in response.aiter_bytes(_PART_BYTES):
                    await asyncio.to_thread(saving.write, part)
            return await asyncio.to_thread(saving.finish)
        except ArenaError as error:
            breaks += 1
            saving.next_after(error, breaks)
        finally:
            saving.pause()
