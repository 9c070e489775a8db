# SPDX-License-Identifier: Apache-2.0
"""Which publishers of a topic still live. The graph keeps a killed process for its lease; the kernel knows at once.

A Fast DDS GID begins with the vendor id 01 0f, two bytes of the host and the low half of the process id (eProsima
Fast DDS, GuidPrefix_t). A publisher counts as gone only when a process that fitted its GID was seen here before and
all of those have ended: a publisher of another machine or PID namespace is never declared dead.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

_VENDOR = bytes.fromhex("010f")
_LOW_PIDS = 1 << 16
_STARTTIME_FIELD = 19  # of /proc/<pid>/stat, counted after the command's closing bracket

type Process = tuple[int, str]


def processes_like(low_pid: int, proc: Path = Path("/proc")) -> frozenset[Process]:
    """(pid, start time) of the processes here whose pid has these low 16 bits; the pair survives pid reuse."""
    found = set()
    try:
        highest = int((proc / "sys/kernel/pid_max").read_text())
    except OSError:
        return frozenset()
    for pid in range(low_pid, highest + 1, _LOW_PIDS):
        try:
            stat = (proc / str(pid) / "stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        if fields[0] not in "ZX":
            found.add((pid, fields[_STARTTIME_FIELD]))
    return frozenset(found)


class LivingPublishers:
    """Remembers which processes could own each GID, and drops a GID when all of them ended."""

    def __init__(self, look: Callable[[int], frozenset[Process]] = processes_like) -> None:
        self._look = look
        self._owners: dict[bytes, frozenset[Process]] = {}

    def among(self, publishers: Iterable[tuple[bytes, str]]) -> frozenset[str]:
        """Node name and GID of those (gid, node name) that are not known to be gone."""
        listed = list(publishers)
        for gid in self._owners.keys() - {gid for gid, _ in listed}:
            del self._owners[gid]
        if len(listed) < 2:
            # One publisher needs no judgement, but its process must be known before it dies.
            for gid, _ in listed:
                self._remember(gid)
            return frozenset(_label(gid, name) for gid, name in listed)
        return frozenset(_label(gid, name) for gid, name in listed if not self._is_gone(gid))

    def _remember(self, gid: bytes) -> frozenset[Process]:
        if gid not in self._owners:
            self._owners[gid] = self._look(_low_pid(gid)) if gid.startswith(_VENDOR) else frozenset()
        return self._owners[gid]

    def _is_gone(self, gid: bytes) -> bool:
        owners = self._remember(gid)
        return bool(owners) and not owners & self._look(_low_pid(gid))


def _low_pid(gid: bytes) -> int:
    return int.from_bytes(gid[4:6], "little")


def _label(gid: bytes, name: str) -> str:
    return f"{name} ({gid.hex()})"
