# SPDX-License-Identifier: Apache-2.0
"""The index of recordings in SQL: sums of a file for lists, its spans for slices, and where reading on begins."""

from dataclasses import asdict, astuple, dataclass, fields

import orjson
from sqlalchemy import BigInteger, Engine, ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker

from lerobot_arena.platform.storage.database import Base
from lerobot_arena.recording.index import FileIndex, Span
from lerobot_arena.recording.totals import Totals, totals_of


class RecordingFileRow(Base):
    __tablename__ = "recording_files"

    path: Mapped[str] = mapped_column(String(600), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger)
    risk: Mapped[int]
    channels: Mapped[str]
    records: Mapped[str]
    totals: Mapped[str]


class RecordingSpanRow(Base):
    __tablename__ = "recording_spans"

    path: Mapped[str] = mapped_column(
        String(600), ForeignKey("recording_files.path", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells that a file has changed."""

    size: int
    mtime_ns: int
    inode: int


class RecordingStore:
    """Blocking; call it off the event loop. Paths are relative to the folder of recordings."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def listed(self) -> dict[str, tuple[Stat, Totals]]:
        """Every file that is known."""
        with self._open() as db:
            return {
                row.path: (_stat(row), _totals(row.totals)) for row in db.scalars(select(RecordingFileRow))
            }

    def load(self, path: str) -> tuple[Stat, FileIndex] | None:
        """A file's index; None when there is none."""
        with self._open() as db:
            row = db.get(RecordingFileRow, path)
            if row is None:
                return None
            query = select(RecordingSpanRow.body).where(RecordingSpanRow.path == path)
            bodies = db.scalars(query.order_by(RecordingSpanRow.number)).all()
            return _stat(row), _index(row, [_span(body) for body in bodies])

    def save(self, path: str, stat: Stat, index: FileIndex, *, first_new: int) -> None:
        """Keep a file's index; spans before `first_new` are kept already."""
        with self._open.begin() as db:
            row = db.get(RecordingFileRow, path) or RecordingFileRow(path=path)
            row.size, row.mtime_ns, row.inode = stat.size, stat.mtime_ns, stat.inode
            row.position, row.risk = index.position, index.risk
            row.channels = orjson.dumps(list(index.channels.items())).decode()
            row.records = orjson.dumps(index.metadata).decode()
            row.totals = orjson.dumps(asdict(totals_of(index))).decode()
            db.add(row)
            db.flush()
            _drop_spans(db, path, first_new)
            db.add_all(
                RecordingSpanRow(path=path, number=number, body=_body(span))
                for number, span in enumerate(index.spans[first_new:], first_new)
            )

    def forget(self, paths: set[str]) -> None:
        """Files that are gone."""
        with self._open.begin() as db:
            for path in paths:
                _drop_spans(db, path, 0)
                db.execute(delete(RecordingFileRow).where(RecordingFileRow.path == path))


def _drop_spans(db: Session, path: str, first: int) -> None:
    db.execute(
        delete(RecordingSpanRow).where(RecordingSpanRow.path == path, RecordingSpanRow.number >= first)
    )


def _stat(row: RecordingFileRow) -> Stat:
    return Stat(row.size, row.mtime_ns, row.inode)


def _body(span: Span) -> str:
    *numbers, counts = astuple(span)
    return orjson.dumps([*numbers, list(counts.items())]).decode()


def _span(body: str) -> Span:
    *numbers, counts = orjson.loads(body)
    span = Span(*numbers)
    span.counts = dict(counts)
    return span


def _totals(text: str) -> Totals:
    known = {item.name for item in fields(Totals)}
    found = {name: value for name, value in orjson.loads(text).items() if name in known}
    found["topics"] = {topic: (type_name, count) for topic, (type_name, count) in found["topics"].items()}
    return Totals(**found)


def _index(row: RecordingFileRow, spans: list[Span]) -> FileIndex:
    totals = _totals(row.totals)
    return FileIndex(
        spans=spans,
        channels={number: (topic, type_name) for number, (topic, type_name) in orjson.loads(row.channels)},
        metadata=orjson.loads(row.records),
        compression=totals.compression,
        position=row.position,
        risk=row.risk,
        is_closed=totals.is_closed,
        damage=totals.damage,
    )
