# SPDX-License-Identifier: Apache-2.0
"""Rooms that clients made, in SQL: they and their e-stop survive a restart, members and values do not. Blocking."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Engine, Float, Integer, String, and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, sessionmaker

from lerobot_arena.core.errors import Conflict
from lerobot_arena.platform.storage.database import Base
from lerobot_arena.rooms.room import Place


class ClientRoomRow(Base):
    __tablename__ = "rooms"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    room_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    max_consumers: Mapped[int] = mapped_column(Integer)
    settings: Mapped[str]
    created_at: Mapped[float] = mapped_column(Float)
    latched_by: Mapped[str] = mapped_column(String(100), default="")


@dataclass(frozen=True)
class RoomRecord:
    """One room as its owner asked for it. `latched_by`: who stopped it; empty when nobody did."""

    place: Place
    owner: str
    max_consumers: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = field(default_factory=time.time)
    latched_by: str = ""


class RoomStore:
    """Call it off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def load(self) -> list[RoomRecord]:
        """All, oldest first."""
        with self._open() as db:
            return [
                _record(row) for row in db.scalars(select(ClientRoomRow).order_by(ClientRoomRow.created_at))
            ]

    def insert(self, record: RoomRecord) -> None:
        """Add a room. Raises Conflict when there is one of that kind and name."""
        place = record.place
        row = ClientRoomRow(
            kind=place.kind,
            workspace_id=place.workspace_id,
            room_id=place.room_id,
            owner=record.owner,
            max_consumers=record.max_consumers,
            settings=json.dumps(dict(record.settings)),
            created_at=record.created_at,
        )
        with self._open.begin() as db:
            try:
                db.add(row)
                db.flush()
            except IntegrityError as error:
                raise Conflict(f"There is a {place.kind} room {place.room_id} already.") from error

    def delete(self, place: Place) -> None:
        """Remove a room; removing none is no error."""
        with self._open.begin() as db:
            db.execute(delete(ClientRoomRow).where(_is_at(place)))

    def latch(self, place: Place, latched_by: str) -> None:
        """Note who stopped a room, or with an empty name that it was released."""
        with self._open.begin() as db:
            db.execute(update(ClientRoomRow).where(_is_at(place)).values(latched_by=latched_by))


def _is_at(place: Place) -> ColumnElement[bool]:
    return and_(
        ClientRoomRow.kind == place.kind,
        ClientRoomRow.workspace_id == place.workspace_id,
        ClientRoomRow.room_id == place.room_id,
    )


def _record(row: ClientRoomRow) -> RoomRecord:
    return RoomRecord(
        Place(row.kind, row.workspace_id, row.room_id),
        row.owner,
        row.max_consumers,
        json.loads(row.settings),
        row.created_at,
        row.latched_by,
    )
