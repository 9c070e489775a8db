# SPDX-License-Identifier: Apache-2.0
"""What a process gives up before it opens foreign files: memory, time, the network, other processes, most files.

Limits are POSIX's; files and TCP by Landlock (kernel documentation, userspace-api/landlock) where the kernel has it;
the network and other processes by namespaces of its own (pid_namespaces(7)) where those are allowed. Linux only; call
it before any thread starts.
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from lerobot_arena.platform.catalog.limits import ChildLimits

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE, _MAKE_DIR_OR_FILE = (1 << 4) | (1 << 5), (1 << 7) | (1 << 8)
# Rights that the first version handles are 0..12; then REFER (2), TRUNCATE (3), IOCTL_DEV (5).
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_APART = os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWIPC
# A control loop runs on this machine: what is checked takes the time, and the memory, that is left over.
_NICENESS, _FIRST_TO_GO = 10, "1000"
_MOST_DESCRIPTORS = 1 << 16
_SIGNALLED = 128
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
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    has_own_processes = _unshare()
    _die_with_parent()  # after it: new credentials forget the wish to die
    if os.getppid() != parent:
        raise SystemExit("the parent is already gone")
    if has_own_processes:
        _become_second()
    version = _landlock(readable, folder)
    for kind, value in (
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        resource.setrlimit(kind, (value, value))
    return version


def _unshare() -> bool:
    """Leave what may be left; whether the next child is the first of processes of its own."""
    for flags in (_APART | os.CLONE_NEWPID, _APART):
        with suppress(OSError):  # not allowed everywhere; Landlock refuses TCP and signals as well
            os.unshare(flags)
            return bool(flags & os.CLONE_NEWPID)
    return False


def _become_second() -> None:
    """Go on as the second process of the new namespace, with the others waiting for its end.

    The first takes everything with it when it ends, whatever session or group that has gone to. It cannot be the one
    that works: signals that it sends to itself, abort's among them, do nothing.
    """
    for _ in range(2):
        child = os.fork()
        if child:
            _end_as(child)
        _die_with_parent()


def _end_as(child: int) -> NoReturn:
    """Wait, then end as the child did. The first process has to tell a signal by its exit code."""
    os.closerange(0, _MOST_DESCRIPTORS)  # or nobody would see the answer's end
    while (ended := os.wait())[0] != child:
        pass
    code = os.waitstatus_to_exitcode(ended[1])
    number = -code if code < 0 else max(0, code - _SIGNALLED)
    if number:
        with suppress(OSError):  # SIGKILL has no handler to take away
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(_SIGNALLED + number if number else code)


def _die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the parent's business
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


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
