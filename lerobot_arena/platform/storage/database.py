# SPDX-License-Identifier: Apache-2.0
"""The one database: tables declare themselves on `Base`, migrations/ creates them. SQLite (WAL) or PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase

from lerobot_arena.core.errors import ArenaError, InvalidInput, Unavailable

if TYPE_CHECKING:
    from alembic.config import Config

# A database that is cut off is noticed within seconds, not by the kernel's quarter of an hour (libpq's names).
_PG_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_MIGRATION_LOCK = 0x6C65_726F


class Base(DeclarativeBase):
    """All tables of the package."""


def database_url(data_dir: Path, chosen: str = "") -> str:
    """`chosen` (ARENA_DATABASE_URL), else the file in the data folder."""
    return chosen or f"sqlite:///{data_dir / 'arena.db'}"


def open_engine(url: str) -> Engine:
    """An engine on a migrated database. Raises Unavailable when it cannot be opened."""
    try:
        engine = connect(url)
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
    except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
        raise Unavailable(
            f"The database {_without_password(url)} cannot be opened: {error.__cause__ or error}. "
            "Check ARENA_DATA_DIR, or ARENA_DATABASE_URL when it is set."
        ) from error
    return engine


def connect(url: str) -> Engine:
    """An engine on a database as it is, whatever tables it has."""
    parsed = make_url(_with_driver(url))
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed)
        _keep_private(parsed.database)
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    patience = {name: value for name, value in _PG_PATIENCE.items() if name not in parsed.query}
    return create_engine(parsed, pool_pre_ping=True, connect_args=patience)


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to a revision, data included; of two processes that start at once, one waits for the other.

    Raises Unavailable when a newer version of this package has been there.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            if _is_at_head(connection, config) and revision == "head":
                return
            _take_turns(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except CommandError as error:
        raise Unavailable(
            f"The database {_without_password(str(engine.url))} is from a newer version of lerobot_arena ({error}). "
            "Install that version, or use another database."
        ) from error


def _is_at_head(connection: Connection, config: "Config") -> bool:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(config).get_current_head()


def _take_turns(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # A real transaction from here on; else the driver ends it at each change of a table.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


def _keep_private(path: str | None) -> None:
    """Password hashes are in it: for nobody but its owner."""
    if not path or path == ":memory:":
        return
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    if file.stat().st_uid == os.geteuid():
        file.chmod(0o600)


@contextmanager
def answering() -> Iterator[None]:
    """What the database cannot do inside becomes what a caller can be told: InvalidInput or Unavailable."""
    try:
        yield
    except SQLAlchemyError as error:
        raise told(error) from error


def told(error: SQLAlchemyError) -> ArenaError:
    """What a caller is told of it: a value that no column takes is theirs, everything else the database's."""
    if isinstance(error, DataError):
        return InvalidInput(
            "A value in this request cannot be stored: a number is too large, or a text has a NUL character."
        )
    return Unavailable("The database does not answer. Try again, or ask who runs this bridge.")


def _with_driver(url: str) -> str:
    """PostgreSQL is spoken with psycopg 3, whichever of the usual spellings the URL has."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return f"postgresql+psycopg://{url.removeprefix(plain)}"
    return url


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string()
    except (SQLAlchemyError, ValueError):
        return "of that URL"


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
