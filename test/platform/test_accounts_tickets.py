# SPDX-License-Identifier: Apache-2.0
"""Tickets: once, for half a minute, and as much as their owner may."""

import jwt
import pytest

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.errors import TooMany, Unauthorized
from lerobot_arena.core.principal import SESSIONS_READ, Principal
from lerobot_arena.platform.accounts import tickets
from lerobot_arena.platform.accounts.tickets import TICKET_S, TicketTaker, mint

SECRET = b"only for tests, but long enough that no algorithm warns of it, of whichever family"
BEN = Principal("ben", frozenset({SESSIONS_READ}), via="login", credential="login1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_ticket_names_its_owner_once(clock: ManualClock) -> None:
    taker = TicketTaker(SECRET, clock)
    ticket = mint(SECRET, BEN, clock)
    who = taker.redeem(ticket)
    assert (who.name, who.scopes, who.via, who.credential) == ("ben", BEN.scopes, "ticket", "login1")
    with pytest.raises(Unauthorized, match="used"):
        taker.redeem(ticket)


def test_a_ticket_lasts_half_a_minute(clock: ManualClock) -> None:
    taker = TicketTaker(SECRET, clock)
    early, late = mint(SECRET, BEN, clock), mint(SECRET, BEN, clock)
    clock.advance(TICKET_S - 0.1)
    taker.redeem(early)
    clock.advance(0.2)
    with pytest.raises(Unauthorized):
        taker.redeem(late)


def test_a_ticket_of_another_installation_is_refused(clock: ManualClock) -> None:
    with pytest.raises(Unauthorized):
        TicketTaker(b"another key" * 10, clock).redeem(mint(SECRET, BEN, clock))


def test_a_restart_does_not_make_used_tickets_good_again(clock: ManualClock) -> None:
    ticket = mint(SECRET, BEN, clock)
    TicketTaker(SECRET, clock).redeem(ticket)
    clock.advance(1)
    with pytest.raises(Unauthorized):
        TicketTaker(SECRET, clock).redeem(ticket)


def test_used_tickets_are_remembered_until_they_expire_and_no_longer(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "_MOST_USED", 10)
    taker = TicketTaker(SECRET, clock)
    used = [mint(SECRET, BEN, clock) for _ in range(10)]
    for ticket in used:
        taker.redeem(ticket)
    with pytest.raises(TooMany) as caught:
        taker.redeem(mint(SECRET, BEN, clock))
    assert caught.value.retry_after_s == TICKET_S
    for ticket in used:
        with pytest.raises(Unauthorized):
            taker.redeem(ticket)
    clock.advance(TICKET_S)
    for _ in range(10):
        taker.redeem(mint(SECRET, BEN, clock))


def test_nonsense_is_no_ticket(clock: ManualClock) -> None:
    now = clock.wall_ns() / NS
    login = {"iss": "lerobot_arena", "aud": "login", "sub": "ben", "jti": "1", "iat": now, "exp": now + 9}
    taker = TicketTaker(SECRET, clock)
    for ticket in ("", "x", "a.b.c", "\ud800", "x" * 10_000, jwt.encode(login, SECRET, algorithm="HS256")):
        with pytest.raises(Unauthorized):
            taker.redeem(ticket)


def test_a_ticket_brings_only_scopes_that_exist(clock: ManualClock) -> None:
    odd = Principal("ben", frozenset({"nonsense", SESSIONS_READ}), via="login")
    assert TicketTaker(SECRET, clock).redeem(mint(SECRET, odd, clock)).scopes == {SESSIONS_READ}
