# SPDX-License-Identifier: Apache-2.0
"""The database itself: its tables are the models', whoever opens it first; what cannot be opened is said in words."""

import stat
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.storage.database import Base, answering, connect, open_engine
from lerobot_arena.testing.tables import import_all_tables


def test_the_migrations_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    import_all_tables()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        # A migration may add an index or a constraint that no model needs to know.
        harmless = {"remove_index", "remove_constraint"}
        found = compare_metadata(context, Base.metadata)
        assert [each for each in found if each[0] not in harmless] == []


def test_processes_that_start_at_once_all_find_the_tables(empty_url: str) -> None:
    errors: list[Exception] = []

    def start() -> None:
        try:
            open_engine(empty_url).dispose()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_database_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    engine = open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Unavailable, match="newer version"):
        open_engine(empty_url)


def test_what_the_database_cannot_do_is_unavailable(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="does not answer"), answering(), engine.connect() as connection:
        connection.execute(text("SELECT * FROM no_such_table"))


@pytest.mark.postgresql
def test_a_value_that_postgresql_cannot_store_is_the_callers_mistake(postgres_engine: Engine) -> None:
    for value, kind in (("a\0b", "text"), (2**40, "integer")):
        query = text(f"SELECT CAST(:value AS {kind})")
        with (
            pytest.raises(InvalidInput, match="cannot be stored"),
            answering(),
            postgres_engine.connect() as connection,
        ):
            connection.execute(query, {"value": value})


def test_sqlite_writes_ahead_keeps_references_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "arena.db"
    file.touch(mode=0o644)
    engine = open_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        connection.exec_driver_sql("UPDATE wanted_generation SET generation = 1")
        for made in tmp_path.iterdir():
            assert stat.S_IMODE(made.stat().st_mode) == 0o600, made
    engine.dispose()


def test_a_database_that_cannot_be_opened_says_which(tmp_path: Path) -> None:
    (tmp_path / "arena.db").write_bytes(b"this is no database at all, not even nearly one" * 50)
    with pytest.raises(Unavailable, match="ARENA_DATA_DIR"):
        open_engine(f"sqlite:///{tmp_path / 'arena.db'}")


@pytest.mark.postgresql
def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1") as caught:
        open_engine("postgresql://anna:verysecret@127.0.0.1:9/arena")
    assert "verysecret" not in str(caught.value)
    assert "ARENA_DATABASE_URL" in str(caught.value)


@pytest.mark.postgresql
def test_a_server_that_was_restarted_is_used_again(postgres_engine: Engine) -> None:
    with postgres_engine.connect() as connection:
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    others = connect(postgres_engine.url.render_as_string(hide_password=False))
    with others.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
    others.dispose()
    with postgres_engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar() != process


@pytest.mark.parametrize("url", ["nonsense", "mongodb://x/y", "postgres://[::1"])
def test_a_url_that_is_none_is_refused_in_words(url: str) -> None:
    with pytest.raises(Unavailable, match="ARENA_DATABASE_URL"):
        open_engine(url)
