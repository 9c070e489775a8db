# SPDX-License-Identifier: Apache-2.0
"""Both databases of the platform: a SQLite file, and a PostgreSQL that is started once and gives each test its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.storage.database import connect, open_engine
from lerobot_arena.testing.postgres import PostgresServer, running_postgres
from lerobot_arena.testing.tables import tables_of

PASSWORD = "a long enough sentence"
SECRET = b"only for tests, but long enough that no algorithm warns of it, of whichever family"
BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'deep' / 'arena.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to copy."""
    file = tmp_path_factory.mktemp("migrated") / "arena.db"
    open_engine(f"sqlite:///{file}").dispose()
    return file


@pytest.fixture(scope="session")
def postgres_engine(postgres: PostgresServer) -> Iterator[Engine]:
    """On a database with all tables, which the tests share one after the other."""
    made = open_engine(postgres.url(postgres.create()))
    yield made
    made.dispose()


@pytest.fixture(params=BOTH)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with all tables and nothing in them."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "arena.db")
        made = connect(f"sqlite:///{tmp_path / 'arena.db'}")
        yield made
        made.dispose()
        return
    shared: Engine = request.getfixturevalue("postgres_engine")
    yield shared
    with shared.begin() as connection:
        for table in reversed(tables_of(connection)):
            connection.execute(table.delete())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def open_accounts(engine: Engine, clock: ManualClock) -> Iterator[Callable[..., Accounts]]:
    """Accounts on the test's database, as each process of a real one has them."""
    opened: list[Accounts] = []

    def make(secret: bytes = SECRET, **options: Any) -> Accounts:
        made = Accounts(engine, secret, clock=clock, **{"tries_per_minute": 1000, **options})
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def accounts(open_accounts: Callable[..., Accounts]) -> Accounts:
    """With the admin `anna` and the user `ben`."""
    made = open_accounts()
    made.users.create("anna", PASSWORD, role="admin")
    made.users.create("ben", PASSWORD)
    return made
