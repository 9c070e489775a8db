# SPDX-License-Identifier: Apache-2.0
"""Files and texts as multipart/form-data, read from disk while they are sent."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lerobot_arena.core.errors import InvalidInput

Sent = Callable[[int, int], None]
"""Told how many bytes of the files were sent, of how many."""


@dataclass(frozen=True, slots=True)
class Form:
    """`fields` that are None are left out, and so are `files`."""

    fields: Mapping[str, str | None] = field(default_factory=dict)
    files: Mapping[str, Path | None] = field(default_factory=dict)
    on_progress: Sent | None = None

    def opened(self, until: ExitStack) -> dict[str, Any]:
        """What httpx takes; the files are open `until` it ends. Raises InvalidInput for one that cannot be read."""
        counter = _Counter(self.on_progress)
        opened = {
            name: (path.name, _Counted(until.enter_context(_open(path)), counter), "application/octet-stream")
            for name, path in self.files.items()
            if path is not None
        }
        return {
            "data": {name: text for name, text in self.fields.items() if text is not None},
            "files": opened,
        }


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


class _Counter:
    """Over all files of a form."""

    def __init__(self, on_progress: Sent | None) -> None:
        self._on_progress, self._sent, self.total = on_progress, 0, 0

    def add(self, count: int) -> None:
        self._sent += count
        if self._on_progress is not None and count:
            self._on_progress(self._sent, self.total)


class _Counted:
    """As much of a file as httpx asks for."""

    def __init__(self, file: BinaryIO, counter: _Counter) -> None:
        self._file, self._counter = file, counter
        counter.total += os.fstat(file.fileno()).st_size

    def read(self, count: int = -1) -> bytes:
        part = self._file.read(count)
        self._counter.add(len(part))
        return part

    def fileno(self) -> int:
        """By which httpx learns the length."""
        return self._file.fileno()
