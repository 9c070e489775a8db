# SPDX-License-Identifier: Apache-2.0
"""Dataset records in SQL. Blocking."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import BigInteger, Engine, Float, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column, sessionmaker

from lerobot_arena.core.errors import NotFound
from lerobot_arena.platform.datasets.record import DatasetRecord, VideoFacts
from lerobot_arena.platform.storage.database import Base

MOST_LISTED = 1000


class DatasetRow(Base):
    __tablename__ = "dataset_records"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str]
    kind: Mapped[str] = mapped_column(String(32))
    file_name: Mapped[str] = mapped_column(String(200))
    file_key: Mapped[str] = mapped_column(String(600), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    video: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)


class DatasetStore:
    """All records."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def insert(self, records: Iterable[DatasetRecord]) -> None:
        """All of them, or none."""
        with self._open.begin() as db:
            db.add_all(_row(record) for record in records)

    def of(self, owner: str | None) -> list[DatasetRecord]:
        """One owner's, or everybody's; newest first."""
        query = select(DatasetRow).order_by(DatasetRow.created_at.desc(), DatasetRow.id)
        if owner is not None:
            query = query.where(DatasetRow.owner == owner)
        with self._open() as db:
            return [_record(row) for row in db.scalars(query.limit(MOST_LISTED))]

    def get(self, record_id: str) -> DatasetRecord:
        """One. Raises NotFound."""
        with self._open() as db:
            row = db.get(DatasetRow, record_id)
            if row is None:
                raise NotFound("There is no such dataset record.")
            return _record(row)

    def delete(self, record_id: str) -> None:
        """Forget one; forgetting none is no error."""
        with self._open.begin() as db:
            db.execute(delete(DatasetRow).where(DatasetRow.id == record_id))

    def unused(self, files: Iterable[str]) -> Sequence[str]:
        """Those of some files, by sha256, that no record has."""
        asked = set(files)
        with self._open() as db:
            used = set(db.scalars(select(DatasetRow.sha256).where(DatasetRow.sha256.in_(asked))))
        return sorted(asked - used)


def _row(record: DatasetRecord) -> DatasetRow:
    return DatasetRow(
        id=record.id,
        owner=record.owner,
        title=record.title,
        description=record.description,
        kind=record.kind,
        file_name=record.file_name,
        file_key=record.file_key,
        sha256=record.sha256,
        size=record.size,
        video=json.dumps(asdict(record.video), allow_nan=False),
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def _record(row: DatasetRow) -> DatasetRecord:
    return DatasetRecord(
        id=row.id,
        owner=row.owner,
        title=row.title,
        description=row.description,
        kind=row.kind,
        file_name=row.file_name,
        sha256=row.sha256,
        size=row.size,
        video=VideoFacts(**json.loads(row.video)),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
