# SPDX-License-Identifier: Apache-2.0
"""Tickets: one use, half a minute, for places that take no headers. Signed, so that none is stored before its use."""

import threading

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import TooMany, Unauthorized
from lerobot_arena.core.principal import SCOPES, Principal
from lerobot_arena.platform.accounts.signed import Claims, Signer

TICKET_S = 30.0
_AUDIENCE = "ticket:bridge"
_MOST_USED = 100_000


def mint(secret: bytes, who: Principal, clock: Clock) -> str:
    """A ticket for whoever logged in."""
    ticket, _ = Signer(secret, _AUDIENCE, clock).sign(
        who.name,
        for_s=TICKET_S,
        scopes=sorted(who.scopes),
        credential=who.credential,
        epoch=who.epoch,
        until=who.expires_at,
    )
    return ticket


class TicketTaker:
    """Takes each ticket once. One per bridge: it alone knows which were used."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._signer, self._clock = Signer(secret, _AUDIENCE, clock), clock
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        # Of those before, nobody remembers here which were used.
        self._since = clock.wall_ns() / NS

    def redeem(self, ticket: str) -> Principal:
        """Who has the ticket, as they were when they got it; it is used up now. Raises Unauthorized, or TooMany."""
        try:
            claims = self._signer.check(ticket)
        except Unauthorized as error:
            raise _refused() from error
        with self._lock:
            if claims.issued_at < self._since or claims.id in self._used:
                raise _refused()
            if len(self._used) >= _MOST_USED:
                self._forget_expired()
            self._used[claims.id] = claims.expires_at
        return _principal_of(claims)

    def _forget_expired(self) -> None:
        now = self._clock.wall_ns() / NS
        self._used = {name: until for name, until in self._used.items() if until > now}
        if len(self._used) >= _MOST_USED:
            raise TooMany("More tickets are used than can be remembered. Try again in a moment.", TICKET_S)


def _principal_of(claims: Claims) -> Principal:
    said = claims.more
    return Principal(
        claims.subject,
        frozenset(said.get("scopes", ())) & frozenset(SCOPES),
        via="ticket",
        credential=str(said.get("credential", "")),
        epoch=said.get("epoch", 0),
        expires_at=said.get("until"),
    )


def _refused() -> Unauthorized:
    return Unauthorized("This ticket is not valid, used or expired. Ask POST /auth/ticket for another.")
