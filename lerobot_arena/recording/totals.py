# SPDX-License-Identifier: Apache-2.0
"""What lists say of recordings: sums over a file, and over a session's files, made once and not at each look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lerobot_arena.recording.index import IMAGE_TYPES, NO_CYCLE, FileIndex
from lerobot_arena.recording.names import SUFFIX, file_number

NOT_CLOSED = "It was not closed, as after a power cut. `arena bag repair` mends it."


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a file. Times are log times in ns, 0 without messages; `topics` name → (type, messages)."""

    cycles: int = 0
    violations: int = 0
    clamps: int = 0
    first_cycle: int = NO_CYCLE
    last_cycle: int = NO_CYCLE
    start_ns: int = 0
    end_ns: int = 0
    compression: str = ""
    is_closed: bool = False
    damage: str = ""
    topics: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    session: Mapping[str, str] = field(default_factory=dict)


def totals_of(index: FileIndex) -> Totals:
    """The sums of an index."""
    spans = [span for span in index.spans if span.cycles]
    types = dict(index.channels.values())
    return Totals(
        cycles=index.total("cycles"),
        violations=index.total("violations"),
        clamps=index.total("clamps"),
        first_cycle=min((span.first_cycle for span in spans), default=NO_CYCLE),
        last_cycle=max((span.last_cycle for span in spans), default=NO_CYCLE),
        start_ns=index.start_ns,
        end_ns=index.end_ns,
        compression=index.compression,
        is_closed=index.is_closed,
        damage=index.damage,
        topics={topic: (types[topic], count) for topic, count in index.counts().items()},
        session=index.metadata.get("session", {}),
    )


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as it is listed; `is_active`: a living process records into it."""

    name: str
    size: int
    mtime_ns: int
    totals: Totals
    is_active: bool = False

    @property
    def damage(self) -> str:
        """What is wrong with it; empty for nothing."""
        totals = self.totals
        return totals.damage or ("" if totals.is_closed or self.is_active else NOT_CLOSED)


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A recording as it is listed, with its files in order; never without one."""

    session_id: str
    files: tuple[FileEntry, ...]

    def total(self, name: str) -> int:
        """Sum of a field of Totals."""
        return sum(getattr(file.totals, name) for file in self.files)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def is_active(self) -> bool:
        return any(file.is_active for file in self.files)

    @property
    def start_ns(self) -> int:
        """Of the first message; 0 without any."""
        return min((file.totals.start_ns for file in self.files if file.totals.start_ns), default=0)

    @property
    def end_ns(self) -> int:
        return max(file.totals.end_ns for file in self.files)

    @property
    def cycle_range(self) -> tuple[int, int] | None:
        """The least and the largest cycle id; None without cycles."""
        found = [file.totals for file in self.files if file.totals.cycles]
        if not found:
            return None
        return min(totals.first_cycle for totals in found), max(totals.last_cycle for totals in found)

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Topic → (type, messages) over all files."""
        found: dict[str, tuple[str, int]] = {}
        for file in self.files:
            for topic, (type_name, count) in file.totals.topics.items():
                found[topic] = (type_name, count + found.get(topic, ("", 0))[1])
        return found

    @property
    def has_images(self) -> bool:
        return any(type_name in IMAGE_TYPES for type_name, _ in self.topics.values())

    @property
    def session(self) -> Mapping[str, str]:
        """The `session` record."""
        return next((file.totals.session for file in self.files if file.totals.session), {})

    @property
    def arm(self) -> str:
        """The arm's namespace; empty when nothing tells it."""
        said = self.session.get("arm", "").strip("/")
        ends = (topic.removesuffix("/dam/cycle") for topic in self.topics if topic.endswith("/dam/cycle"))
        return said or next(ends, "").strip("/")


def find_recordings(root: Path) -> dict[str, list[Path]]:
    """Session id → its files in order. A folder is a session, and so is a file that lies by itself.

    Links are not followed, and nothing but names is read.
    """
    found: dict[str, list[Path]] = {}
    for entry in _visible(root):
        if entry.is_dir():
            files = [path for path in _visible(entry) if path.suffix == SUFFIX and path.is_file()]
            if files:
                found[entry.name] = sorted(files, key=lambda path: (file_number(path.name), path.name))
        elif entry.suffix == SUFFIX and entry.is_file():
            found.setdefault(entry.stem, [entry])
    return found


def _visible(folder: Path) -> Sequence[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_symlink()
        )
    except OSError:  # it is not there yet, or vanished with its disk
        return ()
