# SPDX-License-Identifier: Apache-2.0
"""The file layer under a recording. Tests put one there that forgets, fills up or vanishes."""

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Protocol

from lerobot_arena.core.errors import Conflict


class File(Protocol):
    """An append-only file, locked as long as it is open. Every method may raise OSError."""

    def write(self, data: bytes) -> None:
        """Append all of `data`, or raise and leave an unknown part of it."""

    def sync(self) -> None:
        """Return when everything written survives a power cut. Raises when the file has no name any more."""

    def cut(self, size: int) -> None:
        """Make it `size` bytes long."""

    def close(self) -> None: ...


class Disk(Protocol):
    """A file system. Every method may raise OSError."""

    def make_folder(self, path: Path) -> None: ...

    def create(self, path: Path) -> File:
        """A new file, whose name survives a power cut."""

    def replace(self, path: Path, text: str) -> None:
        """Write a small file so that either the old or the new text is there at any time."""

    def free_bytes(self, path: Path) -> int:
        """Free space where `path` is or would be."""


class RealFile:
    """A file of the operating system; holds a lock that ends with the process."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(errno.EEXIST, f"{path.name} is there already")
        self._path = path
        # Locked before it has its name: whoever finds the name unlocked knows that its writer is dead.
        unnamed = path.with_name(f".{path.name}.new")
        self._number = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(unnamed, path)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._number, rest) :]

    def sync(self) -> None:
        os.fdatasync(self._number)
        # Writing to a file whose folder was removed succeeds; what it holds is lost all the same.
        if os.stat(self._path).st_ino != os.fstat(self._number).st_ino:
            raise FileNotFoundError(errno.ENOENT, f"{self._path.name} is another file now")

    def cut(self, size: int) -> None:
        os.ftruncate(self._number, size)
        os.lseek(self._number, size, os.SEEK_SET)

    def close(self) -> None:
        os.close(self._number)


class RealDisk:
    """The machine's file systems."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        _sync_folder(path.parent)

    def create(self, path: Path) -> RealFile:
        made = RealFile(path)
        _sync_folder(path.parent)
        return made

    def replace(self, path: Path, text: str) -> None:
        replace_text(path, text)

    def free_bytes(self, path: Path) -> int:
        for folder in (path, *path.parents):
            if folder.is_dir():
                return shutil.disk_usage(folder).free
        raise FileNotFoundError(errno.ENOENT, f"{path} is on no file system")


def replace_text(path: Path, text: str) -> None:
    """Replace a small file atomically and durably. Raises OSError."""
    beside = path.with_name(f".{path.name}.new")
    with open(beside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def is_being_written(path: Path) -> bool:
    """Whether a living process records into this file."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def refuse_active(path: Path) -> None:
    """Raise Conflict when a living process records into this file."""
    if is_being_written(path):
        raise Conflict(f"{path.name} is being recorded: stop the recording first (`arena record stop`).")
