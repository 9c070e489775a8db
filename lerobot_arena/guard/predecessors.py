# SPDX-License-Identifier: Apache-2.0
"""What a guard leaves behind for its successor: its process, its publishers, and the epochs it may have used.

DDS keeps a killed publisher in its graph until the lease ends (3 s with the shipped profile). Its guard's successor
must not take it for a rival: a publisher whose process is known to be gone commands nothing.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

_EPOCHS_PER_BOOT = 1_000_000
_KEPT = 4


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process, told apart from a later one with the same pid; `publishers` are its GIDs' prefix, in hex."""

    pid: int
    started: str
    machine_boot: str
    publishers: str

    def is_alive(self) -> bool:
        return self.machine_boot == _machine_boot() and _started(self.pid) == self.started != ""


@dataclass(frozen=True, slots=True)
class RunFile:
    """Content of the file: latest processes last, and the first epoch nobody has used."""

    processes: tuple[ProcessMark, ...] = ()
    next_epoch: int = 0


@dataclass(slots=True)
class Legacy:
    """What this process needs of its predecessors."""

    first_epoch: int
    living: tuple[ProcessMark, ...] = ()
    dead: tuple[ProcessMark, ...] = field(default=())

    def dead_publishers(self) -> frozenset[str]:
        """GID prefixes of guards known to be gone; looks again at those that were alive."""
        return frozenset(mark.publishers for mark in (*self.dead, *self.living) if not mark.is_alive())


def run_folder(environment: Mapping[str, str]) -> Path:
    """Where marks of running processes are: `run` in ARENA_DATA_DIR, else in ~/.local/share/lerobot_arena."""
    chosen = environment.get("ARENA_DATA_DIR")
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return (Path(chosen).expanduser() if chosen else Path(base) / "lerobot_arena") / "run"


def _machine_boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty when it is gone or a zombie (proc(5), stat)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]


def _read(path: Path) -> RunFile:
    try:
        data = json.loads(path.read_text())
        marks = tuple(ProcessMark(**entry) for entry in data["processes"])
        return RunFile(marks, int(data["next_epoch"]))
    except (OSError, ValueError, KeyError, TypeError):
        return RunFile()  # absent or damaged: every other publisher counts, and the clock gives the epoch


def take_over(path: Path, *, publishers: str, wall_ns: int) -> Legacy:
    """Read what the last guards of this arm left, and leave our own mark. Raises OSError when it cannot be written.

    The first epoch is above all that were used before: by the file, and should it be lost by the wall clock.
    """
    old = _read(path)
    first = max(old.next_epoch, wall_ns // 1_000_000)
    own = ProcessMark(os.getpid(), _started(os.getpid()), _machine_boot(), publishers)
    kept = (*(mark for mark in old.processes if mark.publishers != publishers), own)[-_KEPT:]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(asdict(RunFile(kept, first + _EPOCHS_PER_BOOT)))
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(content)
    scratch.replace(path)
    return Legacy(
        first,
        living=tuple(mark for mark in kept if mark is not own and mark.is_alive()),
        dead=tuple(mark for mark in kept if mark is not own and not mark.is_alive()),
    )


def epochs(first: int) -> Iterator[int]:
    """Epochs of this boot."""
    return iter(range(first, first + _EPOCHS_PER_BOOT))


def foreign_publishers(
    endpoints: list[tuple[str, str]], *, own: str, dead: frozenset[str]
) -> tuple[str, ...]:
    """Names of the nodes that publish and are neither us nor gone. `endpoints`: (GID in hex, node name)."""
    return tuple(
        sorted(
            {
                name
                for gid, name in endpoints
                if not gid.startswith(own) and not any(gid.startswith(prefix) for prefix in dead)
            }
        )
    )
