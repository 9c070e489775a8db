# SPDX-License-Identifier: Apache-2.0
"""The accounts of this machine for commands: straight from the database, with or without a running bridge."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lerobot_arena.bringup import DATA_VARIABLE, data_folder
from lerobot_arena.core.errors import InvalidInput

if TYPE_CHECKING:
    from lerobot_arena.platform.accounts.api_tokens import ApiTokens
    from lerobot_arena.platform.accounts.users import Users

DATABASE_VARIABLE = "ARENA_DATABASE_URL"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar=DATA_VARIABLE,
        show_default="~/.local/share/lerobot_arena",
        help="The bridge's data folder.",
    ),
]
Database = Annotated[
    str,
    typer.Option(
        "--database",
        envvar=DATABASE_VARIABLE,
        help="The bridge's database, when it is not the file in its data folder: postgresql://user:password@host/name",
    ),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, for scripts.")
]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        show_default="all but admin",
        help="May be given several times: sessions:read, rooms:join …",
    ),
]


@contextmanager
def opened(data_dir: Path | None, database: str) -> Iterator[tuple["Users", "ApiTokens"]]:
    """The stores. Raises Unavailable when the database cannot be opened."""
    from lerobot_arena.core.clock import SystemClock
    from lerobot_arena.platform.accounts.api_tokens import ApiTokens
    from lerobot_arena.platform.accounts.users import Users
    from lerobot_arena.platform.storage.database import database_url, open_engine

    engine = open_engine(database_url(data_dir or data_folder(os.environ), database))
    try:
        clock = SystemClock()
        # A running bridge finds out by itself within seconds (identities.FRESH_S).
        yield Users(engine, clock, lambda _: None), ApiTokens(engine, clock, lambda _: None)
    finally:
        engine.dispose()


def new_password(*, from_stdin: bool) -> str:
    """Asked for twice on the terminal, or the first line of standard input. Raises InvalidInput without either."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidInput("There is no terminal to ask for the password on: use --password-stdin.")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked
