# SPDX-License-Identifier: Apache-2.0
"""What Fast DDS needs before the first participant: a profile, and shared memory that is free and large enough.

Standard library only and no rclpy, so that launchers can call it before they start anything.
"""

import fcntl
import os
import re
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.share import share_folder

LOCAL, NETWORK = "local", "network"
OWN = "own"

# Fast DDS 2.14 (Jazzy) reads the first, 3.x (Kilted and later) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
DISCOVERY_VARIABLE = "ROS_AUTOMATIC_DISCOVERY_RANGE"

SHM_FOLDER = Path("/dev/shm")
SEGMENT_BYTES = 36_000_000
"""Shared memory one process takes under our profiles, measured: 35,127,840 bytes and its port files."""

_SEGMENT_LOCK = re.compile(r"(?P<segment>fast(?:rtps|dds)_[0-9a-f]{16})_el")
_LOCK_SETTLES_S = 1.0


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile file in force and whose it is: `local`, `network` (ours) or `own` (the user's)."""

    kind: str
    path: Path


@dataclass(frozen=True, slots=True)
class RemovedSegments:
    """What dead processes had left in shared memory."""

    count: int
    size_bytes: int


def profile_path(kind: str) -> Path:
    """The shipped profile file of a kind, `local` or `network`. Raises InvalidInput for any other."""
    if kind not in (LOCAL, NETWORK):
        raise InvalidInput(f"There is no DDS profile {kind!r}. Choose local or network.")
    return share_folder() / "config" / "dds" / f"{kind}.xml"


def apply_profile(environment: MutableMapping[str, str], kind: str = LOCAL) -> Profile:
    """Name the profile in `environment`, which each process to be started must get, and return it.

    A profile the user chose in either variable stays and is named in the other too. `local` also keeps discovery
    on this machine unless the user widened it. Raises InvalidInput when the user's file is not there: Fast DDS would
    go on with its defaults without a word, and raw frames would be lost.
    """
    chosen = next((environment[name] for name in PROFILE_VARIABLES if environment.get(name)), None)
    shipped = {profile_path(each): each for each in (LOCAL, NETWORK)}
    path = Path(chosen) if chosen is not None else profile_path(kind)
    if not path.is_file():
        raise InvalidInput(
            f"The DDS profile {path} does not exist. Correct or unset {' and '.join(PROFILE_VARIABLES)}."
        )
    for name in PROFILE_VARIABLES:
        environment[name] = environment.get(name) or str(path)
    profile = Profile(shipped.get(path, OWN), path)
    if profile.kind == LOCAL and not environment.get(DISCOVERY_VARIABLE):
        environment[DISCOVERY_VARIABLE] = "LOCALHOST"
    return profile


def remove_dead_segments(folder: Path = SHM_FOLDER) -> RemovedSegments:
    """Remove the shared-memory segments of processes that are gone, and tell how much that freed.

    A process holds an exclusive flock on `<segment>_el` for as long as it lives, and the kernel drops the lock with
    the process, however it died (the protocol of Fast DDS's own `fastdds shm clean`). Segment names are random, so
    one that can be locked never comes back to life. Port files are left: their names are reused, a starting process
    may be about to lock one, it heals a dead one by itself, and they are small.
    """
    count = size_bytes = 0
    for lock_path in sorted(folder.glob("fast*_el")):
        match = _SEGMENT_LOCK.fullmatch(lock_path.name)
        if match is not None:
            freed = _remove_if_dead(lock_path, folder / match["segment"])
            count += freed is not None
            size_bytes += freed or 0
    return RemovedSegments(count, size_bytes)


def _remove_if_dead(lock_path: Path, segment: Path) -> int | None:
    """Remove one segment when nobody holds its lock; the bytes freed, or None when it stays."""
    try:
        descriptor = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # gone meanwhile, or another user's
    try:
        # Between creating and locking its file a process is alive without a lock.
        if time.time() - os.fstat(descriptor).st_mtime < _LOCK_SETTLES_S:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size_bytes = 0
        with suppress(FileNotFoundError):
            size_bytes = segment.stat().st_blocks * 512
            segment.unlink()
        lock_path.unlink(missing_ok=True)
        return size_bytes
    except OSError:
        return None  # locked: its owner lives; or another user's file in a sticky folder
    finally:
        os.close(descriptor)


def check_shm(processes: int, *, folder: Path = SHM_FOLDER, segment_bytes: int = SEGMENT_BYTES) -> None:
    """Raise Unavailable, with the remedy, unless `processes` more participants fit into shared memory.

    A participant that gets no segment falls back without a word, and its raw frames are lost.
    """
    try:
        figures = os.statvfs(folder)
    except OSError as error:
        raise Unavailable(
            f"{folder} cannot be used ({error.strerror}); Fast DDS needs it. {_REMEDY}"
        ) from error
    free, total = figures.f_bavail * figures.f_frsize, figures.f_blocks * figures.f_frsize
    needed = processes * segment_bytes
    if free < needed:
        raise Unavailable(
            f"{folder} has {free / 1e6:.0f} MB free of {total / 1e6:.0f} MB, and {processes} processes need "
            f"{needed / 1e6:.0f} MB there for camera frames. {_REMEDY}"
        )


_REMEDY = (
    "In a container start it with --shm-size=512m; "
    "elsewhere end other ROS 2 processes or run `mount -o remount,size=512m /dev/shm`."
)


def prepare(environment: MutableMapping[str, str], kind: str = LOCAL, *, processes: int) -> Profile:
    """All a launcher does before it starts `processes` participants. Raises InvalidInput or Unavailable."""
    profile = apply_profile(environment, kind)
    remove_dead_segments()
    if profile.kind != OWN:
        check_shm(processes)
    return profile
