# SPDX-License-Identifier: Apache-2.0
"""Tokens at rest: one for each bridge, readable by nobody else, sent to nobody else; and `arena login`."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.client import Arena, AsyncArena, credentials
from lerobot_arena.core.errors import InvalidInput, Unauthorized
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge

PASSWORD = "a sentence of rosa"


def arena(*arguments: str, given: str = "") -> Any:
    return CliRunner().invoke(app, arguments, input=given)


def test_a_token_is_for_one_bridge_and_one_pair_of_eyes(own_configuration: Path) -> None:
    path = credentials.store_token("https://robot.example/api", "one")
    credentials.store_token("http://127.0.0.1:8001", "two")
    assert path.parent == own_configuration
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for url in ("https://robot.example", "https://ROBOT.example:443/", "https://robot.example/api/"):
        assert credentials.token_for(url) == "one"
    for url in (
        "http://robot.example",
        "https://robot.example:8443",
        "https://robot.example/other",
        "https://x",
    ):
        assert credentials.token_for(url) == ""
    assert credentials.forget_token("https://robot.example") and not credentials.forget_token(
        "https://robot.example"
    )
    assert credentials.stored_tokens() == {"http://127.0.0.1:8001": "two"}
    assert list(path.parent.iterdir()) == [path], "no copy is left behind"


def test_the_environment_goes_first_and_an_argument_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.store_token("http://127.0.0.1:8001", "stored")
    assert Arena("http://127.0.0.1:8001")._via.connection.token == "stored"
    monkeypatch.setenv("ARENA_TOKEN", "environment")
    assert AsyncArena("http://127.0.0.1:8001")._via.connection.token == "environment"
    assert Arena("http://127.0.0.1:8001", "argument")._via.connection.token == "argument"
    assert Arena("http://127.0.0.1:8001", "")._via.connection.token == ""
    assert "environment" not in repr(AsyncArena("http://127.0.0.1:8001")._via.connection)


@pytest.mark.parametrize("content", ["[1]", '{"http://127.0.0.1:8001": 5}'])
def test_a_file_of_something_else_has_no_tokens(own_configuration: Path, content: str) -> None:
    own_configuration.mkdir()
    path = own_configuration / "tokens.json"
    path.write_text(content)
    path.chmod(0o600)
    assert credentials.token_for("http://127.0.0.1:8001") == ""


def test_a_file_that_others_may_read_is_refused_but_not_in_an_emergency(bridge: LiveBridge) -> None:
    path = credentials.store_token(bridge.url, "stored")
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        Arena(bridge.url)
    assert arena("status", "--url", bridge.url).exit_code == 2
    stopped = arena("estop", "--url", bridge.url)
    assert stopped.exit_code == 0, stopped.stderr


@pytest.fixture
def strict(data_dir: Path) -> Iterator[LiveBridge]:
    """A bridge that trusts nobody without an account, and has one."""
    with live_bridge(data_dir, trust_loopback=False) as made:
        made.services.accounts.users.create("rosa", PASSWORD, role="admin")
        yield made


def test_a_login_is_used_by_commands_and_clients(strict: LiveBridge) -> None:
    refused = arena("session", "list", "--url", strict.url)
    assert refused.exit_code == 1 and "arena login" not in refused.stdout
    wrong = arena("login", "--url", strict.url, "--user", "rosa", "--password-stdin", given="wrong\n")
    assert wrong.exit_code == 1 and not credentials.stored_token(strict.url)
    done = arena("login", "--url", strict.url, "--user", "rosa", "--password-stdin", given=f"{PASSWORD}\n")
    assert done.exit_code == 0 and "as rosa" in done.stdout, done.output
    token = credentials.stored_token(strict.url)
    assert token and token not in done.output and PASSWORD not in done.output
    assert arena("session", "list", "--url", strict.url).exit_code == 0
    with Arena(strict.url) as found:
        assert found.auth.me()["username"] == "rosa"
        # A room's socket asks with the same login, as a header.
        found.robotics.create("w", "r")
        with found.join_robotics("w", "r") as room:
            assert room.is_live
        with Arena(strict.url, "") as nobody, pytest.raises(Unauthorized), nobody.join_robotics("w", "r"):
            pass
        assert next(iter(found.telemetry.live(cameras=[])))
    assert arena("logout", "--url", strict.url).exit_code == 0
    assert not credentials.stored_token(strict.url)
    with Arena(strict.url, token) as ended, pytest.raises(Unauthorized):
        ended.sessions.list()
    assert "no login" in arena("logout", "--url", strict.url).stdout


def test_an_api_token_is_kept_as_well(strict: LiveBridge) -> None:
    with Arena(strict.url, "") as logged_in:
        logged_in.login("rosa", PASSWORD)
        secret = logged_in.tokens.create("night shift")["token"]
    assert arena("login", "--url", strict.url, "--token-stdin", given="rr_live_nothing\n").exit_code == 1
    assert not credentials.stored_token(strict.url)
    assert arena("login", "--url", strict.url, "--token-stdin", given=f"{secret}\n").exit_code == 0
    assert arena("status", "--url", strict.url).exit_code == 0
    # Forgotten here; it goes on to work elsewhere until it is revoked.
    assert arena("logout", "--url", strict.url).exit_code == 0
    with Arena(strict.url, secret) as found:
        assert found.auth.me()["via"] == "token"


def test_a_login_needs_somebody(strict: LiveBridge) -> None:
    for arguments in (
        ["--password-stdin"],
        ["--user", "rosa", "--password-stdin"],
        ["--token-stdin", "--user", "x"],
    ):
        assert arena("login", "--url", strict.url, *arguments).exit_code == 2
    assert not os.path.exists(credentials.tokens_file())


def test_plain_http_to_another_machine_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    result = arena("login", "--url", "http://robot.invalid:1", "--user", "a", "--password-stdin", given="x\n")
    assert result.exit_code == 1 and "not encrypted" in result.stderr
