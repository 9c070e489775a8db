# SPDX-License-Identifier: Apache-2.0
"""What a process gives up before it opens foreign files: memory, time, the network, and all files but a few.

Limits are POSIX's; files and TCP by Landlock (kernel documentation, userspace-api/landlock) where the kernel has it,
the network otherwise by a namespace of its own where that is allowed. Linux only; call it before any thread starts.
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lerobot_arena.platform.catalog.limits import ChildLimits

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE, _MAKE_DIR_OR_FILE = (1 << 4) | (1 << 5), (1 << 7) | (1 << 8)
# Rights that the first version handles are 0..12; then REFER (2), TRUNCATE (3), IOCTL_DEV (5).
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system",
    "/dev/null",
    "/dev/urandom",
)


def give_up(limits: ChildLimits, *, readable: Iterable[Path], folder: Path, parent: int) -> int:
    """Keep only what reading `readable` and working in `folder` takes.

    Returns the Landlock version in force, 0 for none: then files are kept apart by the checks of names alone.
    """
    with suppress(OSError):  # not allowed everywhere; Landlock refuses TCP as well
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWIPC)
    _die_with(parent)  # after it: new credentials forget the wish to die
    version = _landlock(readable, folder)
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        resource.setrlimit(kind, (value, value))
    return version


def _die_with(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the parent's business
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the parent is already gone")


def _landlock(readable: Iterable[Path], folder: Path) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION))
    if version < 1:
        return 0
    handled = _HANDLED[min(version, max(_HANDLED))]
    attributes = struct.pack("=Q", handled)
    if version >= _TCP_SINCE:
        attributes += struct.pack("=Q", 0b11)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", 0b11)
    rules = int(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    if rules < 0:
        return 0
    try:
        for path in (*map(Path, _SYSTEM), *readable):
            _allow(libc, rules, path, _READ_FILE | _READ_DIR)
        work = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE | _MAKE_DIR_OR_FILE | _TRUNCATE
        _allow(libc, rules, folder, work & handled)
        _allow(libc, rules, Path("/dev/null"), _WRITE_FILE | _READ_FILE)
        return version if libc.syscall(_RESTRICT_SELF, rules, 0) == 0 else 0
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """Nothing for what is not there; a file takes only the rights that files have."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)
