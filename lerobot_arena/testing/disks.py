# SPDX-License-Identifier: Apache-2.0
"""Disks that fail, on top of real folders: one that forgets what was not synced, one that is full, one that refuses."""

import errno
import os
from pathlib import Path

from lerobot_arena.recording.disk import RealDisk, RealFile


class _File:
    """A real file that asks its disk before it does anything."""

    def __init__(self, disk: "FaultyDisk", path: Path) -> None:
        self._disk, self._file, self.path = disk, RealFile(path), path
        self.size = self.synced = 0

    def write(self, data: bytes) -> None:
        whole = self._disk.allowed(len(data))
        self._file.write(data[:whole])
        self.size += whole
        if whole < len(data):
            self._disk.refuse()

    def sync(self) -> None:
        self._disk.check()
        self._disk.check_sync()
        self._file.sync()
        self.synced = self.size

    def cut(self, size: int) -> None:
        self._file.cut(size)
        self._disk.room += self.size - size if self._disk.is_limited else 0
        self.size = size

    def close(self) -> None:
        self._file.close()


class FaultyDisk(RealDisk):
    """`room`: bytes that still fit, when `is_limited`. `error`, `sync_error`: what access and sync answer; 0: none."""

    def __init__(self, room: int = -1) -> None:
        self.room, self.is_limited = room, room >= 0
        self.error = self.sync_error = 0
        self.files: list[_File] = []

    def allowed(self, length: int) -> int:
        """How many of `length` bytes fit."""
        self.check()
        if not self.is_limited:
            return length
        fits = min(length, self.room)
        self.room -= fits
        return fits

    def check(self) -> None:
        """Raise what the disk answers now."""
        if self.error:
            raise OSError(self.error, os.strerror(self.error))

    def check_sync(self) -> None:
        """Raise what the disk answers to a sync: it took the bytes, and may have lost them."""
        if self.sync_error:
            raise OSError(self.sync_error, os.strerror(self.sync_error))

    def refuse(self) -> None:
        """Raise that the disk is full."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def make_folder(self, path: Path) -> None:
        self.check()
        super().make_folder(path)

    def create(self, path: Path) -> _File:  # type: ignore[override]
        self.check()
        made = _File(self, path)
        self.files.append(made)
        return made

    def replace(self, path: Path, text: str) -> None:
        self.check()
        super().replace(path, text)

    def free_bytes(self, path: Path) -> int:
        return self.room if self.is_limited else super().free_bytes(path)

    def cut_power(self) -> None:
        """Leave in every file only what was synced, and end the locks as a dead process's end."""
        for file in self.files:
            if file.path.is_file():
                os.truncate(file.path, file.synced)
            try:
                file.close()
            except OSError:
                continue  # it was closed
