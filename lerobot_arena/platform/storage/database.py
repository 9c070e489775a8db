# SPDX-License-Identifier: Apache-2.0
"""The one database: tables declare themselves on `Base`, migrations/ creates them. SQLite (WAL) or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase

from lerobot_arena.core.errors import Unavailable


class Base(DeclarativeBase):
    """All tables of the package."""


def open_engine(url: str) -> Engine:
    """An engine on a migrated database. Raises Unavailable when it cannot be opened."""
    try:
        engine = create_engine(_with_driver(url), pool_pre_ping=not url.startswith("sqlite"))
        if engine.dialect.name == "sqlite":
            if engine.url.database:
                Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
            event.listen(engine, "connect", _tune_sqlite)
        migrate(engine)
    except (SQLAlchemyError, ImportError) as error:
        raise Unavailable(
            f"The database {_without_password(url)} cannot be opened: {error.__cause__ or error}. "
            "Check ARENA_DATA_DIR, or ARENA_DATABASE_URL when it is set."
        ) from error
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to a revision, data included."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@contextmanager
def answering() -> Iterator[None]:
    """What the database cannot do inside becomes Unavailable, which a caller can be told."""
    try:
        yield
    except SQLAlchemyError as error:
        raise Unavailable("The database does not answer. Try again, or ask who runs this bridge.") from error


def _with_driver(url: str) -> str:
    """PostgreSQL is spoken with psycopg 3, whichever of the usual spellings the URL has."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return f"postgresql+psycopg://{url.removeprefix(plain)}"
    return url


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    try:
        return make_url(url).render_as_string()
    except SQLAlchemyError:
        return "of that URL"


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
