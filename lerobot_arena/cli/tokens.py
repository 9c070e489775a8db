# SPDX-License-Identifier: Apache-2.0
"""`arena tokens …`: API tokens for scripts."""

from datetime import datetime
from typing import Annotated

import typer

from lerobot_arena.cli.accounts import AsJson, Database, DataDir, Scopes, opened
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import ERR, print_json, print_line, print_table
from lerobot_arena.core.errors import InvalidInput

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="API tokens for scripts, sent as `Authorization: Bearer rr_live_…` or `X-API-Key: rr_live_…`. Works on this "
    "machine's database; over the network there is /api/api-tokens.",
    epilog="Example: arena tokens create 'night shift' --user anna --scope sessions:read",
)

User = Annotated[str, typer.Option("--user", help="Whose token; it can do no more than its owner.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    user: User,
    scopes: Scopes = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database: Database = "",
) -> None:
    """Make a token and print its secret, which nobody can find out again."""
    from lerobot_arena.core.principal import Principal
    from lerobot_arena.platform.accounts.api_tokens import token_scopes

    with opened(data_dir, database) as (users, tokens):
        owner = Principal(user, users.get(user).scopes)
        token, secret = tokens.create(
            user, name, token_scopes(owner, set(scopes) if scopes is not None else None)
        )
    if as_json:
        print_json(
            {
                "id": token.id,
                "owner": user,
                "name": token.name,
                "scopes": sorted(token.scopes),
                "token": secret,
            }
        )
        return
    ERR.print(f"Token {token.id} of {user}. Keep this, it is shown only once:", markup=False)
    print_line(secret)


@app.command("list")
def list_tokens(
    user: User, as_json: AsJson = False, data_dir: DataDir = None, database: Database = ""
) -> None:
    """A user's active tokens, newest first; never their secrets."""
    with opened(data_dir, database) as (users, tokens):
        users.get(user)
        found = tokens.active(user)
    if as_json:
        print_json(
            [
                {
                    "id": token.id,
                    "name": token.name,
                    "prefix": token.prefix,
                    "scopes": sorted(token.scopes),
                    "created_at": token.created_at,
                    "last_used_at": token.last_used_at,
                }
                for token in found
            ]
        )
        return
    rows = [
        [
            token.id,
            token.name,
            f"{token.prefix}…",
            _day(token.created_at),
            _day(token.last_used_at),
            " ".join(sorted(token.scopes)),
        ]
        for token in found
    ]
    print_table(["id", "name", "secret", "since", "last used", "may"], rows)


@app.command()
def revoke(
    user: User,
    token_id: Annotated[str, typer.Argument(metavar="[ID]", help="As `arena tokens list` shows it.")] = "",
    all_tokens: Annotated[bool, typer.Option("--all", help="All of the user's.")] = False,
    data_dir: DataDir = None,
    database: Database = "",
) -> None:
    """End one of a user's tokens, or all. A running bridge refuses them within seconds."""
    if bool(token_id) == all_tokens:
        raise InvalidInput("Name either a token's id or --all.")
    with opened(data_dir, database) as (users, tokens):
        users.get(user)
        if all_tokens:
            count = tokens.revoke_all(user)
            print_line(f"{count} {'token' if count == 1 else 'tokens'} of {user} revoked.")
            return
        tokens.revoke(user, token_id)
    print_line(f"Token {token_id} is revoked.")


def _day(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d") if seconds is not None else "never"
