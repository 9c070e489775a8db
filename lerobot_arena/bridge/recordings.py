# SPDX-License-Identifier: Apache-2.0
"""The recordings below the data folder, found by listing it; ids from outside are only compared, never made paths."""

import shutil
import threading
from collections import OrderedDict
from pathlib import Path

from lerobot_arena.bridge.recording_store import RecordingStore, Stat
from lerobot_arena.core.errors import Conflict, NotFound, Unavailable
from lerobot_arena.recording.disk import is_being_written
from lerobot_arena.recording.index import FileIndex, continue_index
from lerobot_arena.recording.reader import RecordedFile, Recording
from lerobot_arena.recording.records import Source
from lerobot_arena.recording.totals import FileEntry, SessionEntry, Totals, find_recordings, totals_of

_MOST_INDEXES = 32


class RecordingBook:
    """Blocking and safe on any thread; call it off the event loop. Each look takes up what files have grown by."""

    def __init__(self, root: Path, store: RecordingStore) -> None:
        self._root, self._store = root, store
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, tuple[Stat, FileIndex]] = OrderedDict()

    def all(self) -> list[SessionEntry]:
        """Every recording, the newest first."""
        with self._lock:
            sessions = self._look()
        return sorted(sessions.values(), key=lambda entry: (entry.start_ns, entry.session_id), reverse=True)

    def get(self, session_id: str) -> SessionEntry:
        """One recording. Raises NotFound."""
        with self._lock:
            return self._known(session_id)

    def with_file(self, filename: str) -> SessionEntry:
        """The recording a file of this name belongs to. Raises NotFound."""
        with self._lock:
            sessions = self._look()
        for entry in sessions.values():
            if any(file.name == filename for file in entry.files):
                return entry
        raise NotFound(f"There is no recorded file {filename[:100]!r}.")

    def open(self, session_id: str, *, filename: str | None = None) -> Recording:
        """Open a recording, or one file of it, as far as it is written now. Raises NotFound. Close it."""
        with self._lock:
            entry = self._known(session_id)
            opened: list[RecordedFile] = []
            try:
                for path in find_recordings(self._root)[session_id]:
                    if filename is None or path.name == filename:
                        opened.append(RecordedFile(path, self._index(self._name(path))))
            except BaseException:
                Recording(opened).close()
                raise
        if not opened:
            raise NotFound(f"Recording {entry.session_id} has no file {filename!r}.")
        return Recording(opened)

    def delete(self, session_id: str) -> None:
        """Remove a recording with all its files. Raises NotFound, Conflict while it is being recorded."""
        with self._lock:
            if self._known(session_id).is_active:
                raise Conflict(
                    f"{session_id} is being recorded: stop the recording first (`arena record stop`)."
                )
            paths = find_recordings(self._root)[session_id]
            folder = paths[0].parent
            try:
                if folder == self._root:
                    paths[0].unlink()
                else:
                    shutil.rmtree(folder)
            except OSError as error:
                raise Unavailable(f"{session_id} cannot be deleted: {error.strerror}.") from error
            finally:
                self._look()

    def _known(self, session_id: str) -> SessionEntry:
        entry = self._look().get(session_id)
        if entry is None:
            raise NotFound(f"There is no recording {session_id[:100]!r}.")
        return entry

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def _look(self) -> dict[str, SessionEntry]:
        listed, sessions, seen = self._store.listed(), {}, set()
        for session_id, paths in find_recordings(self._root).items():
            entries = []
            for path in paths:
                name = self._name(path)
                if (entry := self._entry(path, listed.get(name))) is not None:
                    entries.append(entry)
                    seen.add(name)
            if entries:
                sessions[session_id] = SessionEntry(session_id, tuple(entries))
        if gone := listed.keys() - seen:
            self._store.forget(gone)
            for name in gone:
                self._indexes.pop(name, None)
        return sessions

    def _entry(self, path: Path, known: tuple[Stat, Totals] | None) -> FileEntry | None:
        try:
            found = path.stat()
        except OSError:  # gone since the folder was listed
            return None
        stat = Stat(found.st_size, found.st_mtime_ns, found.st_ino)
        if known is not None and known[0] == stat:
            totals = known[1]
        else:
            try:
                totals = self._take_up(path, stat)
            except NotFound as error:  # it is there and cannot be opened
                totals = Totals(damage=str(error))
        is_active = not totals.is_closed and is_being_written(path)
        return FileEntry(path.name, stat.size, stat.mtime_ns, totals, is_active)

    def _take_up(self, path: Path, stat: Stat) -> Totals:
        name = self._name(path)
        known = self._cached(name)
        is_same = known is not None and known[0].inode == stat.inode and stat.size >= known[1].position
        # Readers hold the index they were given: what is new goes into a copy.
        index = _copy(known[1]) if known is not None and is_same and not known[1].is_closed else FileIndex()
        first_new = len(index.spans)
        source = Source(path)
        try:
            continue_index(index, source, is_active=True)
        finally:
            source.close()
        self._store.save(name, stat, index, first_new=first_new)
        self._keep(name, (stat, index))
        return totals_of(index)

    def _index(self, name: str) -> FileIndex:
        known = self._cached(name)
        if known is None:
            raise NotFound(f"{name} is gone.")
        return known[1]

    def _cached(self, name: str) -> tuple[Stat, FileIndex] | None:
        known = self._indexes.get(name) or self._store.load(name)
        if known is not None:
            self._keep(name, known)
        return known

    def _keep(self, name: str, known: tuple[Stat, FileIndex]) -> None:
        self._indexes[name] = known
        self._indexes.move_to_end(name)
        while len(self._indexes) > _MOST_INDEXES:
            self._indexes.popitem(last=False)


def _copy(index: FileIndex) -> FileIndex:
    return FileIndex(
        spans=list(index.spans),
        channels=dict(index.channels),
        metadata=dict(index.metadata),
        compression=index.compression,
        position=index.position,
        risk=index.risk,
    )
