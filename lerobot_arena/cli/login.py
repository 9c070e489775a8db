# SPDX-License-Identifier: Apache-2.0
"""`arena login` and `arena logout`: a token for a bridge, kept for the commands and for `Arena()`."""

import getpass
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lerobot_arena.cli.output import ERR, print_line
from lerobot_arena.cli.session import Url
from lerobot_arena.client import credentials
from lerobot_arena.client.address import is_loopback
from lerobot_arena.client.arena import Arena
from lerobot_arena.core.errors import ArenaError, InvalidInput

User = Annotated[str | None, typer.Option("--user", help="Your name; without it you are asked.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
TokenStdin = Annotated[
    bool, typer.Option("--token-stdin", help="Keep an API token from standard input instead of logging in.")
]


def login(
    url: Url = None,
    user: User = None,
    password_stdin: PasswordStdin = False,
    token_stdin: TokenStdin = False,
) -> None:
    """Log in to a bridge; every command and `Arena()` then use it for that URL. A login lasts an hour.

    With --token-stdin an API token is kept, which lasts until it is revoked. Example:
    arena login --url https://robot.example:8001
    """
    if token_stdin and (user or password_stdin):
        raise InvalidInput("--token-stdin needs neither a user nor a password.")
    with Arena(url, token="") as arena:
        _warn_of_plain_http(arena.url)
        token = (
            _checked(arena.url, _line("API token"))
            if token_stdin
            else _logged_in(arena, user, password_stdin)
        )
        path = credentials.store_token(arena.url, token)
    with Arena(url, token=token) as arena:
        found = arena.auth.me()
    print_line(
        f"Logged in to {arena.url} as {found['username']}. The token is in {path}, readable by you alone."
    )


def logout(url: Url = None) -> None:
    """End the login at a bridge and forget it; an API token is only forgotten."""
    with Arena(url) as arena:
        had = credentials.stored_token(arena.url)
        if not had:
            print_line(f"There is no login for {arena.url}.")
            return
        try:
            if had.count(".") == 2:  # a login; API tokens have no dots
                with Arena(url, token=had) as logged_in:
                    logged_in.logout()
        except ArenaError as error:
            ERR.print(
                f"The bridge did not end it ({error}); it ends by itself within the hour.", markup=False
            )
        credentials.forget_token(arena.url)
        print_line(f"Logged out of {arena.url}.")


def _logged_in(arena: Arena, user: str | None, password_stdin: bool) -> str:
    name = user or (None if password_stdin else _asked("User: "))
    if not name:
        raise InvalidInput("Say who logs in: --user NAME.")
    password = _line("password") if password_stdin else getpass.getpass("Password: ")
    return arena.login(name, password)["access_token"]


def _checked(url: str, token: str) -> str:
    """Raises Unauthorized when the bridge does not know it."""
    with Arena(url, token=token) as arena:
        arena.auth.me()
    return token


def _asked(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        raise InvalidInput("Nobody is there to answer: use --user and --password-stdin.") from None


def _line(what: str) -> str:
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise InvalidInput(f"Standard input had no {what}.")
    return line


def _warn_of_plain_http(url: str) -> None:
    if urlsplit(url).scheme == "http" and not is_loopback(url):
        ERR.print(
            f"Warning: {url} is not encrypted. Whoever is on the way reads the password and can use the token: "
            "use https, or an SSH tunnel.",
            markup=False,
            style="yellow",
        )
