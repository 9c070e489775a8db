# SPDX-License-Identifier: Apache-2.0
"""`arena users …` and `arena tokens …` on a real database, and a bridge that knows what they made."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.cli.supervisor.log import RunLog, parse_line
from lerobot_arena.cli.users import Role
from lerobot_arena.core.principal import USER_SCOPES
from lerobot_arena.platform.accounts.users import ROLES
from lerobot_arena.testing.bridge_rig import open_rig

PASSWORD = "a long enough sentence"

pytestmark = pytest.mark.usefixtures("data_dir")


def arena(*arguments: str, typed: str = "") -> Any:
    return CliRunner().invoke(app, arguments, input=typed)


def create(name: str, *more: str) -> Any:
    return arena("users", "create", name, "--password-stdin", *more, typed=PASSWORD + "\n")


def users() -> dict[str, Any]:
    return {user["username"]: user for user in json.loads(arena("users", "list", "--json").stdout)}


async def test_the_first_admin_can_log_in(data_dir: Path) -> None:
    made = create("anna", "--admin")
    assert made.exit_code == 0 and "anna" in made.stdout
    async with open_rig(data_dir) as rig:
        body = {"username": "anna", "password": PASSWORD}
        assert (await rig.http.post("/auth/login", json=body)).json()["user"]["role"] == "admin"


async def test_a_running_bridge_knows_what_a_command_changed(data_dir: Path) -> None:
    create("anna", "--admin")
    create("ben")
    async with open_rig(data_dir) as rig:
        secret = arena(
            "tokens", "create", "night shift", "--user", "ben", "--scope", "sessions:read"
        ).stdout.strip()
        key = {"X-API-Key": secret}
        me = (await rig.http.get("/auth/me", headers=key)).json()
        assert (me["username"], me["scopes"]) == ("ben", ["sessions:read"])
        assert arena("users", "disable", "ben").exit_code == 0
        rig.clock.advance(3.1)
        assert (await rig.http.get("/auth/me", headers=key)).status_code == 401


def test_users_are_changed_and_listed() -> None:
    create("anna", "--admin")
    assert create("ben", "--scope", "sessions:read", "--scope", "rooms:join").exit_code == 0
    assert users()["ben"]["scopes"] == ["rooms:join", "sessions:read"]
    for command, changed in (
        (("scopes", "ben", "models:write"), {"scopes": ["models:write"]}),
        (("scopes", "ben"), {"scopes": []}),
        (("disable", "ben"), {"disabled": True}),
        (("enable", "ben"), {"disabled": False}),
        (("role", "ben", "admin"), {"role": "admin"}),
    ):
        assert arena("users", *command).exit_code == 0
        assert users()["ben"].items() >= changed.items()
    table = arena("users", "list").stdout
    assert "anna" in table and "everything" in table
    assert arena("users", "delete", "ben", typed="n\n").exit_code == 1
    assert arena("users", "delete", "ben", "--yes").exit_code == 0
    assert set(users()) == {"anna"}
    assert {role.value for role in Role} == set(ROLES)


def test_what_cannot_be_is_told_in_a_line() -> None:
    create("anna", "--admin")
    for arguments, typed, code, words in (
        (("create", "anna", "--password-stdin"), PASSWORD, 1, "already"),
        (("create", "Ben", "--password-stdin"), PASSWORD, 2, "lowercase"),
        (("create", "admin", "--password-stdin"), PASSWORD, 2, "reserved"),
        (("create", "ben", "--password-stdin"), "short", 2, "10 to 1024"),
        (("create", "ben"), "", 2, "--password-stdin"),
        (("create", "ben", "--password-stdin", "--scope", "admin"), PASSWORD, 2, "Choose from"),
        (("delete", "anna", "--yes"), "", 1, "only admin"),
        (("disable", "nobody"), "", 1, "no user"),
        (("password", "nobody", "--password-stdin"), PASSWORD, 1, "no user"),
        (
            ("list", "--database", "postgresql://anna:verysecret@127.0.0.1:9/arena"),
            "",
            1,
            "ARENA_DATABASE_URL",
        ),
    ):
        result = arena("users", *arguments, typed=typed)
        assert result.exit_code == code, (arguments, result.output)
        assert words in " ".join(result.stderr.split()) and "Traceback" not in result.output
        assert "verysecret" not in result.output
    assert set(users()) == {"anna"}


def test_a_new_password_is_asked_for_twice_on_a_terminal(data_dir: Path) -> None:
    create("anna", "--admin")
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "lerobot_arena.cli.app", "users", "password", "anna"]
    environment = {**os.environ, "ARENA_DATA_DIR": str(data_dir)}
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        shown = b""
        for prompts in (1, 2):
            while shown.count(b": ") < prompts:
                shown += os.read(controller, 1000)
            os.write(controller, b"another long sentence\n")
        try:
            while piece := os.read(controller, 1000):
                shown += piece
        except OSError:
            pass  # the other end is closed
    os.close(controller)
    assert process.returncode == 0 and b"new password" in shown
    assert b"another" not in shown


def test_tokens_are_made_listed_and_revoked() -> None:
    create("anna", "--admin")
    made = arena("tokens", "create", "night shift", "--user", "anna")
    secret = made.stdout.strip()
    assert secret.startswith("rr_live_") and "only once" in made.stderr
    more = json.loads(arena("tokens", "create", "x", "--user", "anna", "--scope", "admin", "--json").stdout)
    assert more["scopes"] == ["admin"] and more["token"].startswith("rr_live_")
    listed = json.loads(arena("tokens", "list", "--user", "anna", "--json").stdout)
    assert {token["name"]: token["scopes"] for token in listed} == {
        "night shift": sorted(USER_SCOPES),
        "x": ["admin"],
    }
    table = arena("tokens", "list", "--user", "anna").stdout
    assert "night shift" in table and secret not in table
    assert arena("tokens", "revoke", "--user", "anna", more["id"]).exit_code == 0
    assert arena("tokens", "revoke", "--user", "anna", more["id"]).exit_code == 1
    assert "1 token" in arena("tokens", "revoke", "--user", "anna", "--all").stdout
    for arguments, code in (
        (("revoke", "--user", "anna"), 2),
        (("revoke", "--user", "anna", "x", "--all"), 2),
        (("create", "x", "--user", "nobody"), 1),
        (("list", "--user", "nobody"), 1),
        (("create", " ", "--user", "anna"), 2),
    ):
        assert arena("tokens", *arguments).exit_code == code


def test_the_first_admins_secret_is_on_the_terminal_and_in_no_file(tmp_path: Path) -> None:
    shown = io.StringIO()
    log = RunLog(tmp_path, console=Console(file=shown, width=200))
    log.add(parse_line("bridge", b"  http://robot:8001/ui/#first-admin=verysecret\n"))
    log.close()
    assert "#first-admin=verysecret" in shown.getvalue()
    kept = (tmp_path / "arena.log").read_text()
    assert "#first-admin=" in kept and "verysecret" not in kept
