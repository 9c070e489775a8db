# SPDX-License-Identifier: Apache-2.0
"""Wanted sessions in SQL: what must survive a restart. as platform/storage keeps it."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import BigInteger, Engine, Float, ForeignKey, String, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker

from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.principal import LOCAL_NAME
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.platform.storage.database import Base


class SessionRow(Base):
    __tablename__ = "sessions"

    session_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    policy_reference: Mapped[str]
    arena_server_url: Mapped[str]
    owner: Mapped[str] = mapped_column(String(64))
    is_selected: Mapped[bool]
    wanted: Mapped[str]
    manifest: Mapped[str]


class RoomRow(Base):
    """A room's name belongs to one session, whatever the ids are made of."""

    __tablename__ = "session_rooms"

    topic: Mapped[str] = mapped_column(String(240), primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.session_id", ondelete="CASCADE"))


class GenerationRow(Base):
    """The newest generation that was published; one row."""

    __tablename__ = "wanted_generation"

    id: Mapped[int] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True)
class SessionRecord:
    """One session as its owner made it; `policy_reference` as asked, `wanted.policy_path` resolved."""

    wanted: SessionWanted
    policy_reference: str
    arena_server_url: str = ""
    created_at: float = field(default_factory=time.time)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    owner: str = LOCAL_NAME


class SessionStore:
    """Blocking; call it off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open = sessionmaker(engine)

    def load(self) -> tuple[int, list[SessionRecord]]:
        """The newest published generation and all sessions, oldest first."""
        with self._open() as db:
            generation = db.get(GenerationRow, 1)
            rows = db.scalars(select(SessionRow).order_by(SessionRow.created_at)).all()
            return generation.generation if generation else 0, [_record(row) for row in rows]

    def insert(self, record: SessionRecord, generation: int) -> None:
        """Add a session. Raises Conflict when its id or one of its rooms exists; then nothing is changed."""
        session_id = record.wanted.session_id
        with self._open.begin() as db:
            try:
                db.add(_row(record))
                db.flush()
            except IntegrityError as error:
                raise Conflict(f"Session {session_id} already exists") from error
            try:
                db.add_all(RoomRow(topic=topic, session_id=session_id) for topic in _rooms(record.wanted))
                db.flush()
            except IntegrityError as error:
                raise Conflict(
                    f"Session {session_id}: one of its room names belongs to another session of workspace "
                    f"{record.wanted.workspace_id}. Choose another id or workspace."
                ) from error
            self._note(db, generation)

    def delete(self, session_id: str, generation: int) -> None:
        """Remove a session; removing none is no error."""
        with self._open.begin() as db:
            row = db.get(SessionRow, session_id)
            if row is not None:
                db.delete(row)
            self._note(db, generation)

    def select(self, session_id: str, arm_session_ids: list[str], generation: int) -> None:
        """Mark one of an arm's sessions as the one its next start means."""
        with self._open.begin() as db:
            db.execute(
                update(SessionRow)
                .where(SessionRow.session_id.in_(arm_session_ids))
                .values(is_selected=SessionRow.session_id == session_id)
            )
            self._note(db, generation)

    def note_generation(self, generation: int) -> None:
        """Remember what was published."""
        with self._open.begin() as db:
            self._note(db, generation)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    @staticmethod
    def _note(db: Session, generation: int) -> None:
        db.merge(GenerationRow(id=1, generation=generation))


def _rooms(wanted: SessionWanted) -> set[str]:
    topics = {*wanted.camera_topics, wanted.joint_input_topic, wanted.joint_output_topic}
    return {topic for topic in topics if topic.startswith("/rooms/")}


def _row(record: SessionRecord) -> SessionRow:
    return SessionRow(
        session_id=record.wanted.session_id,
        created_at=record.created_at,
        policy_reference=record.policy_reference,
        arena_server_url=record.arena_server_url,
        owner=record.owner,
        is_selected=record.wanted.is_selected,
        wanted=json.dumps(asdict(record.wanted)),
        manifest=json.dumps(dict(record.manifest)),
    )


def _record(row: SessionRow) -> SessionRecord:
    known = {item.name for item in fields(SessionWanted)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(row.wanted).items()
        if name in known
    }
    wanted = SessionWanted(**(values | {"is_selected": row.is_selected}))
    return SessionRecord(
        wanted,
        row.policy_reference,
        row.arena_server_url,
        row.created_at,
        json.loads(row.manifest),
        row.owner,
    )
