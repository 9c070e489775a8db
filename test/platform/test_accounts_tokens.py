# SPDX-License-Identifier: Apache-2.0
"""API tokens: shown once, kept as a hash, never worth more than their owner."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthorized
from lerobot_arena.core.principal import (
    ADMIN,
    ANONYMOUS,
    LOCAL,
    MODELS_WRITE,
    SESSIONS_OPERATE,
    SESSIONS_READ,
    USER_SCOPES,
    Principal,
)
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.accounts.identities import FRESH_S

PASSWORD = "a long enough sentence"


@pytest.fixture
def ben(accounts: Accounts) -> Principal:
    return accounts.identify(accounts.log_in("ben", PASSWORD, "127.0.0.1").access_token)


@pytest.fixture
def anna(accounts: Accounts) -> Principal:
    return accounts.identify(accounts.log_in("anna", PASSWORD, "127.0.0.1").access_token)


def test_a_token_is_its_owner(accounts: Accounts, ben: Principal, engine: Engine) -> None:
    token, secret = accounts.create_token(ben, " MacBook Pro ")
    assert (token.owner, token.name, token.scopes) == ("ben", "MacBook Pro", frozenset(USER_SCOPES))
    assert secret.startswith("rr_live_") and token.prefix == secret[:12] and len(secret) >= 8 + 43
    who = accounts.identify(secret)
    assert (who.name, who.via, who.credential, who.scopes) == ("ben", "token", token.id, token.scopes)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM api_tokens")).one()
    assert row.secret_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(row) and secret[12:] not in str(row)


def test_only_people_get_tokens(accounts: Accounts) -> None:
    for who in (LOCAL, ANONYMOUS):
        with pytest.raises(Unauthorized):
            accounts.create_token(who, "x")


def test_a_token_has_a_name(accounts: Accounts, ben: Principal) -> None:
    for name in ("", "  ", "\t\n", "x" * 201, "a\0b", "a\nb", "\ud800"):
        with pytest.raises(InvalidInput, match="name"):
            accounts.create_token(ben, name)


def test_a_token_may_do_less_than_its_owner_and_never_more(accounts: Accounts, ben: Principal) -> None:
    _, secret = accounts.create_token(ben, "x", {SESSIONS_READ, SESSIONS_OPERATE})
    assert accounts.identify(secret).scopes == {SESSIONS_READ, SESSIONS_OPERATE}
    accounts.users.change("ben", scopes={SESSIONS_READ, MODELS_WRITE})
    assert accounts.identify(secret).scopes == {SESSIONS_READ}
    for asked in ({ADMIN}, {"nonsense"}, {SESSIONS_READ, ADMIN}):
        with pytest.raises(InvalidInput):
            accounts.create_token(ben, "x", asked)


def test_an_admins_token_is_an_admin_only_when_that_was_asked_for(
    accounts: Accounts, anna: Principal
) -> None:
    _, plain = accounts.create_token(anna, "x")
    _, strong = accounts.create_token(anna, "y", {ADMIN})
    assert not accounts.identify(plain).is_admin and accounts.identify(strong).is_admin
    accounts.users.change("ben", role="admin")
    accounts.users.change("anna", role="user")
    assert not accounts.identify(strong).is_admin and accounts.identify(strong).scopes == set()


def test_a_token_makes_no_token_that_may_do_more(accounts: Accounts, ben: Principal) -> None:
    _, secret = accounts.create_token(ben, "x", {SESSIONS_READ})
    script = accounts.identify(secret)
    _, child = accounts.create_token(script, "child")
    assert accounts.identify(child).scopes == {SESSIONS_READ}
    with pytest.raises(InvalidInput):
        accounts.create_token(script, "child", {SESSIONS_OPERATE})


def test_active_tokens_are_listed_and_revoked(
    accounts: Accounts, ben: Principal, anna: Principal, clock: ManualClock
) -> None:
    made = []
    for name in ("first", "second", "third"):
        made.append(accounts.create_token(ben, name))
        clock.advance(1)
    (_, annas) = accounts.create_token(anna, "hers")
    assert [token.name for token in accounts.tokens.active("ben")] == ["third", "second", "first"]
    (first, secret), *rest = made
    accounts.identify(secret)
    for wrong_owner, token_id in (("anna", first.id), ("ben", "token_x"), ("ben", "\0"), ("ben", "x" * 500)):
        with pytest.raises(NotFound):
            accounts.tokens.revoke(wrong_owner, token_id)
    accounts.tokens.revoke("ben", first.id)
    with pytest.raises(NotFound):
        accounts.tokens.revoke("ben", first.id)
    with pytest.raises(Unauthorized):
        accounts.identify(secret)
    assert accounts.recall(secret) is None
    assert accounts.tokens.revoke_all("ben") == 2
    assert accounts.tokens.revoke_all("ben") == 0
    assert accounts.tokens.active("ben") == []
    for _, each in rest:
        with pytest.raises(Unauthorized):
            accounts.identify(each)
    assert accounts.identify(annas).name == "anna"


def test_another_process_feels_a_revocation_soon(
    accounts: Accounts, ben: Principal, open_accounts: Callable[..., Accounts], clock: ManualClock
) -> None:
    token, secret = accounts.create_token(ben, "x")
    other = open_accounts()
    other.identify(secret)
    accounts.tokens.revoke("ben", token.id)
    clock.advance(FRESH_S + 0.1)
    with pytest.raises(Unauthorized):
        other.identify(secret)


def test_tokens_sleep_while_their_owner_is_disabled_and_go_with_them(
    accounts: Accounts, ben: Principal
) -> None:
    _, secret = accounts.create_token(ben, "x")
    accounts.identify(secret)
    accounts.users.change("ben", is_disabled=True)
    with pytest.raises(Unauthorized):
        accounts.identify(secret)
    accounts.users.change("ben", is_disabled=False)
    assert accounts.identify(secret).name == "ben"
    accounts.users.delete("ben")
    accounts.users.create("ben", PASSWORD)
    with pytest.raises(Unauthorized):
        accounts.identify(secret)
    with pytest.raises(NotFound):
        accounts.create_token(replace(ben, name="gone"), "x")


def test_the_last_use_is_written_once_a_minute(
    accounts: Accounts, ben: Principal, clock: ManualClock
) -> None:
    _, secret = accounts.create_token(ben, "x")

    def last_use() -> float | None:
        accounts.flush()
        (token,) = accounts.tokens.active("ben")
        return token.last_used_at

    assert last_use() is None
    begin = clock.wall_ns() / NS
    for seconds, expected in ((0, 0), (30, 0), (29, 0), (1, 60), (59, 60)):
        clock.advance(seconds)
        accounts.identify(secret)
        used = last_use()
        assert used is not None and used - begin == pytest.approx(expected, abs=1e-3)


def test_nobody_fills_the_table(
    accounts: Accounts, ben: Principal, engine: Engine, clock: ManualClock
) -> None:
    for number in range(100):
        accounts.create_token(ben, f"n{number}")
    with pytest.raises(Conflict, match="100"):
        accounts.create_token(ben, "one more")
    accounts.tokens.revoke_all("ben")
    clock.advance(91 * 86_400)
    accounts.create_token(ben, "one more")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM api_tokens")) == 1


def test_a_ticket_is_used_once_for_who_got_it(accounts: Accounts, ben: Principal) -> None:
    _, secret = accounts.create_token(ben, "x", {SESSIONS_READ})
    for who in (ben, accounts.identify(secret)):
        ticket = accounts.mint_ticket(who)
        taken = accounts.redeem_ticket(ticket)
        assert (taken.name, taken.scopes, taken.via) == ("ben", who.scopes, "ticket")
        assert taken.credential == who.credential
        with pytest.raises(Unauthorized, match="used"):
            accounts.redeem_ticket(ticket)
        with pytest.raises(Unauthorized):
            accounts.identify(accounts.mint_ticket(who))
        with pytest.raises(Forbidden):
            accounts.mint_ticket(taken)
    for nobody in (LOCAL, ANONYMOUS):
        with pytest.raises(Unauthorized):
            accounts.mint_ticket(nobody)


def test_a_ticket_ends_with_what_it_was_got_with(accounts: Accounts, ben: Principal) -> None:
    token, secret = accounts.create_token(ben, "x", {SESSIONS_READ, MODELS_WRITE})
    script = accounts.identify(secret)
    narrowed = accounts.mint_ticket(script)
    accounts.users.change("ben", scopes={SESSIONS_READ})
    assert accounts.redeem_ticket(narrowed).scopes == {SESSIONS_READ}
    of_script, of_login = accounts.mint_ticket(script), accounts.mint_ticket(ben)
    accounts.tokens.revoke("ben", token.id)
    accounts.log_out(ben)
    for ticket in (of_script, of_login):
        with pytest.raises(Unauthorized):
            accounts.redeem_ticket(ticket)


@pytest.mark.parametrize("change", [{"is_disabled": True}, {"password": "another long sentence"}])
def test_a_ticket_ends_with_its_user(accounts: Accounts, ben: Principal, change: dict[str, object]) -> None:
    ticket = accounts.mint_ticket(ben)
    accounts.users.change("ben", **change)  # type: ignore[arg-type]
    with pytest.raises(Unauthorized):
        accounts.redeem_ticket(ticket)
