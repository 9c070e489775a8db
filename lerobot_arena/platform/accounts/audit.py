# SPDX-License-Identifier: Apache-2.0
"""The audit log: who called what that changes something, and what came of it. Written behind the answer."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.orm import Session, sessionmaker

from lerobot_arena.core.principal import ANONYMOUS
from lerobot_arena.platform.accounts.batcher import Batcher
from lerobot_arena.platform.accounts.tables import AuditRow
from lerobot_arena.platform.storage.database import answering

_PRUNE_EVERY = 500
_NOBODY = ANONYMOUS.via
_LONGEST = {"who": 64, "via": 16, "address": 64, "method": 16, "route": 300, "path": 1000}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call. `route` is the template, `path` what was asked, without its query (a ticket may stand there)."""

    who: str
    via: str
    address: str
    method: str
    route: str
    path: str
    status: int
    at: float = field(default_factory=time.time)
    id: int = 0
    """Given by the log; rises."""


class AuditLog:
    """`note` is for any thread and never waits; the rest blocks."""

    def __init__(self, engine: Engine, *, max_entries: int = 100_000) -> None:
        """`max_entries` are kept of callers who are known, and as many of nobody's."""
        self._open, self._max_entries = sessionmaker(engine), max_entries
        self._since_prune = _PRUNE_EVERY
        self._batcher: Batcher[AuditEntry] = Batcher(self._write, "the audit log")

    @property
    def dropped(self) -> int:
        """Entries that were lost because the database could not keep up."""
        return self._batcher.dropped

    def note(self, entry: AuditEntry) -> None:
        """Have an entry written soon. A full queue drops it, counts that and says so in the process's log."""
        self._batcher.add(entry)

    def newest(self, n: int, before: int | None = None) -> list[AuditEntry]:
        """The newest entries first; of those with ids below `before`."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(n)
        if before is not None:
            query = query.where(AuditRow.id < before)
        with answering(), self._open() as db:
            return [_entry(row) for row in db.scalars(query)]

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until what was noted is written; False when that takes too long."""
        return self._batcher.flush(timeout_s)

    def close(self) -> None:
        """Write what waits."""
        self._batcher.close()

    def _write(self, entries: Sequence[AuditEntry]) -> None:
        with answering(), self._open.begin() as db:
            db.execute(insert(AuditRow), [_values(entry) for entry in entries])
            self._since_prune += len(entries)
            if self._since_prune >= _PRUNE_EVERY:
                self._prune(db)
                self._since_prune = 0

    def _prune(self, db: Session) -> None:
        # Apart, so that strangers, who may try as often as they like, push out nothing but each other.
        for kind in (AuditRow.via == _NOBODY, AuditRow.via != _NOBODY):
            ids = select(AuditRow.id).where(kind).order_by(AuditRow.id.desc())
            last_too_many = db.scalar(ids.offset(self._max_entries).limit(1))
            if last_too_many is not None:
                db.execute(delete(AuditRow).where(kind, AuditRow.id <= last_too_many))


def _values(entry: AuditEntry) -> dict[str, object]:
    values = asdict(entry)
    del values["id"]
    for name, longest in _LONGEST.items():
        values[name] = _plain(values[name])[:longest]
    return values


def _plain(text: str) -> str:
    """Without its query, and without what a database cannot keep (PostgreSQL takes no NUL) or a terminal would obey."""
    kept = text.partition("?")[0].encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in kept)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        row.who, row.via, row.address, row.method, row.route, row.path, row.status, row.at, row.id
    )
