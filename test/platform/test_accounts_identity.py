# SPDX-License-Identifier: Apache-2.0
"""Logins: who a credential is, until when, and what ends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
from sqlalchemy import Engine, text

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.errors import InvalidInput, Unauthorized, Unavailable
from lerobot_arena.core.principal import SCOPES, SESSIONS_READ, USER_SCOPES, Principal
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.accounts.identities import FRESH_S, STALE_S, Identities
from lerobot_arena.platform.accounts.logins import LOGIN_S

PASSWORD = "a long enough sentence"
SECRET = b"only for tests, but long enough that no algorithm warns of it, of whichever family"
HERE = "127.0.0.1"


def log_in(accounts: Accounts, name: str = "ben") -> str:
    return accounts.log_in(name, PASSWORD, HERE).access_token


def test_what_is_looked_up_while_it_ends_is_not_remembered(clock: ManualClock) -> None:
    known = Identities(clock)
    ben = Principal("ben", via="login", credential="1")
    before = known.generation
    known.forget(user="ben")
    known.put("secret", ben, before)
    assert known.get("secret") is None
    known.put("secret", ben, known.generation)
    assert known.get("secret") == ben


def test_memory_of_callers_is_bounded(clock: ManualClock) -> None:
    known = Identities(clock)
    for number in range(5000):
        known.put(f"secret{number}", Principal("ben", via="token"), known.generation)
    found = [number for number in range(5000) if known.get(f"secret{number}") is not None]
    assert found == list(range(5000 - 4096, 5000))


def test_a_login_is_its_user(accounts: Accounts) -> None:
    for name, scopes in (("anna", SCOPES), ("ben", USER_SCOPES)):
        who = accounts.identify(log_in(accounts, name))
        assert (who.name, who.scopes, who.via) == (name, frozenset(scopes), "login")
        assert who.credential and who.is_user and who.is_admin == (name == "anna")


def test_each_login_is_another(accounts: Accounts) -> None:
    first, second = log_in(accounts), log_in(accounts)
    accounts.log_out(accounts.identify(first))
    assert accounts.identify(second).name == "ben"


def test_a_login_ends_after_an_hour(accounts: Accounts, clock: ManualClock) -> None:
    token = log_in(accounts)
    clock.advance(LOGIN_S - 1)
    assert accounts.identify(token).name == "ben"
    clock.advance(1)
    with pytest.raises(Unauthorized, match="expired"):
        accounts.identify(token)
    assert accounts.recall(token) is None


def test_logging_out_ends_a_login_here_at_once_and_elsewhere_soon(
    accounts: Accounts, open_accounts: Callable[..., Accounts], clock: ManualClock
) -> None:
    token, other = log_in(accounts), open_accounts()
    who = other.identify(token)
    accounts.log_out(accounts.identify(token))
    assert accounts.recall(token) is None
    with pytest.raises(Unauthorized, match="ended"):
        accounts.identify(token)
    assert other.identify(token) == who
    clock.advance(FRESH_S + 0.1)
    for each in (other, open_accounts()):
        with pytest.raises(Unauthorized, match="ended"):
            each.identify(token)


def test_only_a_login_can_be_logged_out(accounts: Accounts) -> None:
    _, secret = accounts.create_token(accounts.identify(log_in(accounts)), "script")
    with pytest.raises(InvalidInput, match="api-tokens"):
        accounts.log_out(accounts.identify(secret))


def test_ended_logins_are_forgotten_when_they_would_have_expired(
    accounts: Accounts, engine: Engine, clock: ManualClock
) -> None:
    for _ in range(3):
        accounts.log_out(accounts.identify(log_in(accounts)))
        clock.advance(LOGIN_S + 1)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ended_logins")) == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda accounts: accounts.users.change("ben", is_disabled=True),
        lambda accounts: accounts.users.change("ben", password="another long sentence"),
        lambda accounts: accounts.users.delete("ben"),
        lambda accounts: accounts.change_password(
            accounts.identify(log_in(accounts)), PASSWORD, "another long sentence", HERE
        ),
    ],
    ids=["disabled", "new password", "deleted", "own new password"],
)
def test_this_ends_every_login_of_a_user_and_of_nobody_else(
    accounts: Accounts,
    open_accounts: Callable[..., Accounts],
    clock: ManualClock,
    end: Callable[[Accounts], Any],
) -> None:
    tokens, annas, other = [log_in(accounts), log_in(accounts)], log_in(accounts, "anna"), open_accounts()
    for token in (*tokens, annas):
        accounts.identify(token)
        other.identify(token)
    end(accounts)
    for token in tokens:
        with pytest.raises(Unauthorized):
            accounts.identify(token)
        assert accounts.known(token) is None
    clock.advance(FRESH_S + 0.1)
    for token in tokens:
        with pytest.raises(Unauthorized):
            other.identify(token)
    assert accounts.identify(annas).name == other.identify(annas).name == "anna"


def test_a_login_of_a_namesake_from_before_fits_nobody(accounts: Accounts) -> None:
    token = log_in(accounts)
    accounts.users.delete("ben")
    accounts.users.create("ben", PASSWORD)
    with pytest.raises(Unauthorized):
        accounts.identify(token)


def test_fewer_scopes_are_felt_at_once(accounts: Accounts) -> None:
    token = log_in(accounts)
    accounts.identify(token)
    accounts.users.change("ben", scopes={SESSIONS_READ})
    assert accounts.identify(token).scopes == {SESSIONS_READ}


def claims(clock: ManualClock, **changes: Any) -> dict[str, Any]:
    now = clock.wall_ns() / NS
    good = {
        "iss": "lerobot_arena",
        "aud": "login",
        "sub": "ben",
        "jti": "1",
        "iat": now,
        "exp": now + 60,
        "epoch": 0,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def test_forged_logins_are_refused(accounts: Accounts, engine: Engine, clock: ManualClock) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET login_epoch = 0"))

    def signed(secret: bytes = SECRET, **changes: Any) -> str:
        return jwt.encode(claims(clock, **changes), secret, algorithm="HS256")

    assert accounts.identify(signed()).name == "ben"
    forged = [
        signed(secret=b"another key, which is just as long as the one in use"),
        jwt.encode(claims(clock), None, algorithm="none"),
        jwt.encode(claims(clock), SECRET, algorithm="HS512"),
        jwt.encode(claims(clock), SECRET, algorithm="HS384"),
        *(signed(**{name: None}) for name in ("iss", "aud", "sub", "jti", "iat", "exp")),
        signed(iss="somebody"),
        signed(aud="ticket:bridge"),
        signed(aud=["login", 7]),
        signed(exp="soon"),
        signed(exp=0),
        signed(sub="nobody"),
        signed(sub="b\0n"),
        signed(epoch=1),
        signed() + "x",
        "rr_live_nothing",
        "rr_live_\ud800",
        "",
        "a.b.c",
        "\ud800.ä.\0",
        "x" * 100_000,
    ]
    for token in forged:
        with pytest.raises(Unauthorized):
            accounts.identify(token)


def test_a_login_without_an_epoch_is_refused(accounts: Accounts, clock: ManualClock) -> None:
    with pytest.raises(Unauthorized):
        accounts.identify(jwt.encode(claims(clock, epoch=None), SECRET, algorithm="HS256"))


def test_a_login_of_another_installation_is_refused(
    accounts: Accounts, open_accounts: Callable[..., Accounts]
) -> None:
    other = open_accounts(secret=b"the key of the robot next door, which is long enough")
    with pytest.raises(Unauthorized):
        other.identify(log_in(accounts))


@contextmanager
def broken(engine: Engine) -> Iterator[None]:
    """Nobody can be looked up inside."""
    for old, new in (("users", "gone"), ("gone", "users")):
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
        if new == "gone":
            yield


def test_known_callers_cost_no_query_and_are_recalled_without_a_database(
    accounts: Accounts, engine: Engine, clock: ManualClock
) -> None:
    token = log_in(accounts)
    _, secret = accounts.create_token(accounts.identify(token), "script")
    accounts.identify(secret)
    accounts.flush()
    with broken(engine):
        for credential in (token, secret):
            assert accounts.identify(credential).name == "ben"
        clock.advance(FRESH_S + 0.1)
        for credential in (token, secret):
            with pytest.raises(Unavailable):
                accounts.identify(credential)
            who = accounts.recall(credential)
            assert who is not None and who.name == "ben"
    clock.advance(STALE_S)
    assert accounts.recall(secret) is None
    assert accounts.recall("rr_live_nothing") is None


def test_a_login_that_was_never_looked_up_is_known_by_its_signature_and_may_do_nothing(
    accounts: Accounts, open_accounts: Callable[..., Accounts], clock: ManualClock
) -> None:
    token = log_in(accounts)
    who = open_accounts().recall(token)
    assert who is not None and (who.name, who.via, who.scopes) == ("ben", "login", frozenset())
    other = open_accounts(secret=b"the key of the robot next door, which is long enough")
    assert other.recall(token) is None and accounts.recall(token[:-2]) is None
    clock.advance(LOGIN_S)
    assert accounts.recall(token) is None


def test_a_token_that_another_process_revoked_is_not_recalled_once_the_database_said_so(
    accounts: Accounts, open_accounts: Callable[..., Accounts], clock: ManualClock
) -> None:
    made, secret = accounts.create_token(accounts.identify(log_in(accounts)), "script")
    accounts.identify(secret)
    open_accounts().tokens.revoke("ben", made.id)
    clock.advance(FRESH_S + 0.1)
    assert accounts.recall(secret) is not None
    with pytest.raises(Unauthorized):
        accounts.identify(secret)
    assert accounts.recall(secret) is None
