# SPDX-License-Identifier: Apache-2.0
"""One recording while it is written: its folder, its files one after the other, and its metadata.yaml."""

from collections.abc import Callable, Mapping
from pathlib import Path

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.recording.disk import Disk
from lerobot_arena.recording.file_info import DROPS, END, SESSION, read_info
from lerobot_arena.recording.glance import CYCLE_TYPE
from lerobot_arena.recording.metadata_yaml import FileInfo, bag_yaml
from lerobot_arena.recording.names import METADATA, file_name, file_number
from lerobot_arena.recording.queue import Item
from lerobot_arena.recording.repair import close_in_place
from lerobot_arena.recording.tally import CycleTally
from lerobot_arena.recording.writer import McapFile, ros_distro


class SessionWriter:
    """Used by one thread. Whatever raises OSError leaves `failed` to be called."""

    def __init__(
        self,
        disk: Disk,
        root: Path,
        session_id: str,
        *,
        clock: Clock,
        give_index: Callable[[Path], object] = close_in_place,
    ) -> None:
        self._disk, self._clock, self._give_index = disk, clock, give_index
        self.session_id, self.folder = session_id, root / session_id
        self.started_at_unix = clock.wall_ns() / NS
        self.file: McapFile | None = None
        self.total = CycleTally()
        self._tally = CycleTally()
        self._closed: list[FileInfo] = []
        self._unfinished: list[Path] = []
        self._number = 0
        self._opened_ns = 0
        self._notes: dict[str, dict[str, str]] = {}

    @property
    def file_count(self) -> int:
        """Files so far."""
        return len(self._closed) + (self.file is not None)

    @property
    def messages(self) -> int:
        """Messages so far, whether on the disk yet or not."""
        return sum(info.messages for info in self._infos())

    def _infos(self) -> list[FileInfo]:
        return [*self._closed, *([self.file.info] if self.file else [])]

    def tally(self) -> CycleTally:
        """Cycles so far."""
        whole = CycleTally()
        whole.add(self.total)
        whole.add(self._tally if self.file is not None else CycleTally())
        return whole

    def age_s(self) -> float:
        """Since the present file was begun."""
        return (self._clock.steady_ns() - self._opened_ns) / NS

    def open(self) -> None:
        """Begin the next file."""
        self._disk.make_folder(self.folder)
        path = self.folder / file_name(self.session_id, self._number)
        self.file = McapFile(self._disk, path)
        self._number += 1
        self._tally, self._opened_ns = CycleTally(), self._clock.steady_ns()
        for name, values in self._notes.items():
            self.file.note(name, values)
        self.file.sync()
        self._write_metadata()

    def add(self, item: Item) -> None:
        """Write one message. Raises NotFound when its type is unknown."""
        assert self.file is not None
        self.file.add(item)
        if item.topic.type_name == CYCLE_TYPE:
            self._tally.saw(item.data)

    def describe(self, session: Mapping[str, str], drops: Mapping[str, int]) -> None:
        """Write what has changed since the last time; in a file the last record of a name counts."""
        assert self.file is not None
        own = {"session_id": self.session_id, "started_at_unix": repr(self.started_at_unix)}
        for name, values in (
            (SESSION, {**session, **own}),
            (DROPS, {topic: str(count) for topic, count in drops.items() if count}),
        ):
            if values and values != self._notes.get(name):
                self._notes[name] = values
                self.file.note(name, values)

    def close(self, reason: str) -> None:
        """Finish the present file."""
        if self.file is None:
            return
        whole = self.tally()
        end = {"reason": reason, "ended_at_unix": repr(self._clock.wall_ns() / NS), **self._tally.as_record()}
        self.file.note(END, end)
        self.file.finish(self._custom(whole))
        self._closed.append(self.file.info)
        self.file, self.total = None, whole
        self.finish_broken()
        self._write_metadata()

    def failed(self) -> list[Item]:
        """Give up the present file after its whole chunks; returns the messages that are not in it."""
        if self.file is None:
            return []
        file, self.file = self.file, None
        unsaved = list(file.unsaved)
        file.abandon()
        if file.is_empty:
            file.forget()
            self._number -= 1
        else:
            self._unfinished.append(file.path)
        self.finish_broken()
        return unsaved

    def finish_broken(self) -> None:
        """Give files that failed their index, as far as the disk lets it; the rest is repaired at the next start."""
        for path in list(self._unfinished):
            try:
                self._give_index(path)
                summary = read_info(path)
            except FileNotFoundError:
                self._unfinished.remove(path)
            except (OSError, InvalidInput):
                continue
            else:
                self._unfinished.remove(path)
                self._closed.append(summary.info)
                self._closed.sort(key=lambda info: file_number(info.name))
                self.total.add(summary.tally or CycleTally())

    def _custom(self, tally: CycleTally) -> dict[str, str]:
        return {**self._notes.get(SESSION, {}), **tally.as_record()}

    def _write_metadata(self) -> None:
        text = bag_yaml(self._infos(), self._custom(self.total), ros_distro())
        self._disk.replace(self.folder / METADATA, text)
