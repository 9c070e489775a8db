# SPDX-License-Identifier: Apache-2.0
"""Only one run per data folder, and one per arm and ROS domain. The kernel frees a lock however its owner dies."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.ids import escape


def lock_paths(data_dir: Path, arm: str, environment: Mapping[str, str]) -> list[Path]:
    """The files a run holds: one in its data folder, one for its arm on this machine's ROS domain."""
    domain = environment.get("ROS_DOMAIN_ID") or "0"
    shared = Path(tempfile.gettempdir()) / f"lerobot_arena-{os.getuid()}"
    return [data_dir / "run" / "arena.lock", shared / f"domain-{escape(domain)}-{escape(arm)}.lock"]


@contextmanager
def held(paths: Sequence[Path], *, owner: Mapping[str, object]) -> Iterator[None]:
    """Hold all locks, with `owner` written into them for whoever finds them taken. Raises Conflict."""
    files: list[IO[str]] = []
    try:
        for path in paths:
            files.append(_take(path))
            files[-1].write(json.dumps({"pid": os.getpid(), **owner}))
            files[-1].flush()
        yield
    finally:
        for file in files:
            file.truncate(0)
            file.close()


def owner_of(path: Path) -> dict[str, object] | None:
    """Who holds a lock, or None when nobody does."""
    if not path.is_file():
        return None
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file)
    return None


def _take(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = open(path, "a+")  # noqa: SIM115 - held for as long as the run
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _read(file)
        file.close()
        raise Conflict(
            f"Another run holds {path}: process {holder.get('pid', '?')}, arm {holder.get('arm', '?')}, "
            f"port {holder.get('port', '?')}. End it (Ctrl-C in its terminal, or `kill {holder.get('pid', 'PID')}`), "
            "or choose another ARENA_DATA_DIR together with another --arm or ROS_DOMAIN_ID."
        ) from None
    file.truncate(0)
    return file


def _read(file: IO[str]) -> dict[str, object]:
    file.seek(0)
    with suppress(ValueError):
        content = json.loads(file.read())
        if isinstance(content, dict):
            return content
    return {}
