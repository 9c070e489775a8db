# SPDX-License-Identifier: Apache-2.0
"""What survives a restart."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from lerobot_arena.bridge.store import SessionRecord, SessionStore
from lerobot_arena.core.errors import Conflict, Unavailable
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.platform.storage.database import Base, open_engine

WANTED = SessionWanted(
    "s",
    "arm",
    "/p",
    workspace_id="w",
    camera_names=("front",),
    camera_topics=("/rooms/w/sZ2dfront",),
    joint_output_topic="/rooms/w/out",
    rate_hz=30.0,
    joint_names=("a", "b"),
)
RECORD = SessionRecord(WANTED, "org/name", "http://localhost:8000", 5.0, {"unit": "degrees"})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'deep' / 'arena.db'}")
    yield made
    made.dispose()


def test_the_migrations_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_sqlite_writes_ahead_and_keeps_references(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_what_was_written_is_read_back_whole(engine: Engine) -> None:
    store = SessionStore(engine)
    assert store.load() == (0, [])
    store.insert(RECORD, 7)
    assert store.load() == (7, [RECORD])
    store.delete("s", 8)
    store.delete("s", 9)
    assert store.load() == (9, [])
    store.insert(RECORD, 10)


def test_a_conflict_changes_nothing(engine: Engine) -> None:
    store = SessionStore(engine)
    store.insert(RECORD, 7)
    with pytest.raises(Conflict, match="already exists"):
        store.insert(replace(RECORD, policy_reference="other"), 8)
    with pytest.raises(Conflict, match="room"):
        store.insert(replace(RECORD, wanted=replace(WANTED, session_id="t")), 8)
    assert store.load() == (7, [RECORD])


def test_one_session_of_an_arm_is_selected(engine: Engine) -> None:
    store = SessionStore(engine)
    for name in "abc":
        wanted = SessionWanted(name, "arm" if name != "c" else "other", "/p", is_selected=name == "c")
        store.insert(SessionRecord(wanted, "p"), 1)
    for chosen in "ab":
        store.select(chosen, ["a", "b"], 2)
        selected = [record.wanted.session_id for record in store.load()[1] if record.wanted.is_selected]
        assert selected == [chosen, "c"]


def test_a_database_that_cannot_be_opened_says_which(tmp_path: Path) -> None:
    (tmp_path / "arena.db").write_bytes(b"this is no database at all, not even nearly one" * 50)
    with pytest.raises(Unavailable, match="ARENA_DATA_DIR"):
        open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
