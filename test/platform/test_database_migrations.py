# SPDX-License-Identifier: Apache-2.0
"""From the first revision up: what was written at any of them is there in the end."""

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.script import ScriptDirectory

from lerobot_arena.bridge.store import SessionStore
from lerobot_arena.core.principal import LOCAL_NAME
from lerobot_arena.platform.storage import migrations
from lerobot_arena.platform.storage.database import connect, migrate
from lerobot_arena.testing.tables import make_row, tables_of

REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()))
]
# As the release of the first revision wrote them.
FIRST_WANTED = {
    "session_id": "old",
    "arm": "arm",
    "policy_path": "/p",
    "workspace_id": "w",
    "camera_names": ["front"],
    "camera_topics": ["/rooms/w/oldZ2dfront"],
    "a_field_of_then": 1,
}


def test_the_revisions_are_one_line_from_0001() -> None:
    numbers = range(1, len(REVISIONS) + 1)
    assert [int(revision) for revision in REVISIONS] == list(numbers)


def test_what_any_revision_wrote_is_there_at_the_last(empty_url: str) -> None:
    engine = connect(empty_url)
    written: dict[str, list[dict[str, Any]]] = {}
    for number, revision in enumerate(REVISIONS, 1):
        migrate(engine, revision)
        with engine.begin() as connection:
            parents: dict[str, dict[str, Any]] = {}
            for table in tables_of(connection):
                parents[table.name] = make_row(table, number, parents)
                connection.execute(table.insert(), parents[table.name])
                written.setdefault(table.name, []).append(parents[table.name])
    migrate(engine)
    with engine.connect() as connection:
        tables = {table.name: table for table in tables_of(connection)}
        assert tables.keys() == written.keys()
        for name, rows in written.items():
            found = [dict(row._mapping) for row in connection.execute(tables[name].select())]
            for row in rows:
                assert any(row.items() <= other.items() for other in found), (name, row)
            assert len(found) == len(rows)
    engine.dispose()


def test_a_session_of_the_first_release_is_the_one_at_the_machines(empty_url: str) -> None:
    engine = connect(empty_url)
    migrate(engine, "0001")
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO sessions (session_id, created_at, policy_reference, arena_server_url, is_selected, wanted,"
                " manifest) VALUES ('old', 5.0, 'org/name', '', :yes, :wanted, '{}')"
            ),
            {"yes": True, "wanted": json.dumps(FIRST_WANTED)},
        )
        connection.execute(
            sa.text("INSERT INTO session_rooms (topic, session_id) VALUES ('/rooms/w/oldZ2dfront', 'old')")
        )
        connection.execute(sa.text("INSERT INTO wanted_generation (id, generation) VALUES (1, 41)"))
    migrate(engine)
    store = SessionStore(engine)
    generation, records = store.load()
    assert generation == 41
    (record,) = records
    assert record.owner == LOCAL_NAME
    assert record.wanted.session_id == "old" and record.wanted.is_selected
    assert record.wanted.camera_topics == ("/rooms/w/oldZ2dfront",)
    store.delete("old", 42)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM session_rooms")) == 0
    engine.dispose()
