# SPDX-License-Identifier: Apache-2.0
"""`arena users …`: who has an account on this bridge."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from lerobot_arena.cli.accounts import AsJson, Database, DataDir, PasswordStdin, Scopes, new_password, opened
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_json, print_line, print_table

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Who has an account. Works on this machine's database, with or without a running bridge, which feels changes "
    "within seconds.",
    epilog="The first one: arena users create YOUR-NAME --admin",
)


class Role(StrEnum):
    """users.ROLES as choices; a test compares."""

    admin = "admin"
    user = "user"


Name = Annotated[str, typer.Argument(help="The user's name: lowercase letters, digits and inner hyphens.")]


@app.command()
def create(
    name: Name,
    admin: Annotated[
        bool, typer.Option("--admin", help="May do everything, and keeps the other users.")
    ] = False,
    scopes: Scopes = None,
    password_stdin: PasswordStdin = False,
    data_dir: DataDir = None,
    database: Database = "",
) -> None:
    """Make an account. The password is asked for; it has at least 10 characters."""
    from lerobot_arena.platform.accounts.names import check_name

    check_name(name)
    with opened(data_dir, database) as (users, _):
        password = new_password(from_stdin=password_stdin)
        user = users.create(
            name,
            password,
            role="admin" if admin else "user",
            scopes=set(scopes) if scopes is not None else None,
        )
    print_line(f"{user.role.capitalize()} {user.name} can log in.")


@app.command("list")
def list_users(as_json: AsJson = False, data_dir: DataDir = None, database: Database = "") -> None:
    """Everybody with an account."""
    with opened(data_dir, database) as (users, _):
        found = users.all()
    if as_json:
        print_json(
            [
                {
                    "username": user.name,
                    "role": user.role,
                    "scopes": sorted(user.scopes),
                    "disabled": user.is_disabled,
                    "created_at": user.created_at,
                }
                for user in found
            ]
        )
        return
    rows = [
        [
            user.name,
            "disabled" if user.is_disabled else user.role,
            datetime.fromtimestamp(user.created_at).strftime("%Y-%m-%d"),
            "everything" if user.is_admin else " ".join(sorted(user.scopes)) or "nothing",
        ]
        for user in found
    ]
    print_table(["user", "role", "since", "may"], rows)


@app.command()
def disable(name: Name, data_dir: DataDir = None, database: Database = "") -> None:
    """End all logins of a user and let nobody in by that name; tokens sleep, the name stays taken."""
    with opened(data_dir, database) as (users, _):
        users.change(name, is_disabled=True)
    print_line(f"{name} cannot log in any more.")


@app.command()
def enable(name: Name, data_dir: DataDir = None, database: Database = "") -> None:
    """Let a disabled user in again; their tokens work again."""
    with opened(data_dir, database) as (users, _):
        users.change(name, is_disabled=False)
    print_line(f"{name} can log in again.")


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    database: Database = "",
) -> None:
    """Remove an account and its tokens. Whoever gets the name later owns what it owned: `disable` keeps it taken."""
    if not yes:
        typer.confirm(f"Delete {name} and all of their API tokens?", abort=True, err=True)
    with opened(data_dir, database) as (users, _):
        users.delete(name)
    print_line(f"{name} is deleted.")


@app.command()
def password(
    name: Name, password_stdin: PasswordStdin = False, data_dir: DataDir = None, database: Database = ""
) -> None:
    """Give a user a new password; all of their logins end, their API tokens stay."""
    with opened(data_dir, database) as (users, _):
        users.get(name)
        users.change(name, password=new_password(from_stdin=password_stdin))
    print_line(f"{name} has a new password.")


@app.command()
def role(name: Name, role: Role, data_dir: DataDir = None, database: Database = "") -> None:
    """Make a user an admin, or an admin a user. There is always one admin."""
    with opened(data_dir, database) as (users, _):
        users.change(name, role=role.value)
    print_line(f"{name} is now {'an admin' if role is Role.admin else 'a user'}.")


@app.command()
def scopes(
    name: Name,
    scopes: Annotated[
        list[str] | None, typer.Argument(help="All that the user may do; none: only look at /health.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = "",
) -> None:
    """Say what a user may do: sessions:read sessions:operate rooms:join catalog:write …

    Their API tokens can do no more than that either. An admin may do everything, whatever is said here.
    """
    with opened(data_dir, database) as (users, _):
        user = users.change(name, scopes=set(scopes or ()))
    print_line(f"{name} may do: {' '.join(sorted(user.scopes)) or 'nothing'}.")
