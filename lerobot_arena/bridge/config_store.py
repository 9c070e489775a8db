# SPDX-License-Identifier: Apache-2.0
"""Boundaries and tasks in SQL, as the JSON they were accepted as."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Engine, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker

from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.platform.storage.database import Base


class BoundaryRow(Base):
    __tablename__ = "boundaries"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    place: Mapped[int]
    version: Mapped[int]
    config: Mapped[str]


class TaskRow(Base):
    __tablename__ = "tasks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    place: Mapped[int]
    config: Mapped[str]


class ConfigVersionRow(Base):
    """The newest version that was published; one row. Without it the database was never seeded."""

    __tablename__ = "guard_config_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)


class ConfigStore:
    """Blocking; call it off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def load(self) -> GuardConfig | None:
        """What was written last, in its order; None in a new database."""
        with self._open() as db:
            version = db.get(ConfigVersionRow, 1)
            if version is None:
                return None
            boundaries = db.scalars(select(BoundaryRow).order_by(BoundaryRow.place)).all()
            tasks = db.scalars(select(TaskRow).order_by(TaskRow.place)).all()
            return GuardConfig(
                version.version,
                tuple(BoundaryWanted(row.name, row.version, row.config) for row in boundaries),
                tuple(TaskWanted(row.name, row.config) for row in tasks),
            )

    def note_version(self, version: int) -> None:
        """Remember what is about to be published, so that no later version is lower."""
        with self._open.begin() as db:
            self._note(db, version)

    def write(self, config: GuardConfig) -> None:
        """Replace everything, or nothing when that fails."""
        with self._open.begin() as db:
            self._replace(db, config.boundaries, config.tasks)
            self._note(db, config.version)

    @staticmethod
    def _replace(db: Session, boundaries: Sequence[BoundaryWanted], tasks: Sequence[TaskWanted]) -> None:
        db.execute(delete(BoundaryRow))
        db.execute(delete(TaskRow))
        db.add_all(
            BoundaryRow(name=item.name, place=place, version=item.version, config=item.config)
            for place, item in enumerate(boundaries)
        )
        db.add_all(
            TaskRow(name=item.name, place=place, config=item.config) for place, item in enumerate(tasks)
        )

    @staticmethod
    def _note(db: Session, version: int) -> None:
        db.merge(ConfigVersionRow(id=1, version=version))
