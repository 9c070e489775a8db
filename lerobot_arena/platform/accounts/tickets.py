# SPDX-License-Identifier: Apache-2.0
"""Tickets: one use, half a minute, for places that take no headers. Checked with the key alone, without a database."""

import threading

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import InvalidInput, TooMany, Unauthorized
from lerobot_arena.core.principal import SCOPES, Principal
from lerobot_arena.platform.accounts.signed import Claims, Signer

TICKET_S = 30.0
BRIDGE, FOXGLOVE = "bridge", "foxglove"
AUDIENCES = (BRIDGE, FOXGLOVE)
_MOST_USED = 100_000


def mint(secret: bytes, who: Principal, clock: Clock, audience: str = BRIDGE, *, epoch: int = 0) -> str:
    """A ticket for whoever logged in. Raises InvalidInput for an audience nobody redeems."""
    if audience not in AUDIENCES:
        raise InvalidInput(f"There are tickets for {' and '.join(AUDIENCES)}, not for {audience[:60]!r}.")
    ticket, _ = _signer(secret, audience, clock).sign(
        who.name, for_s=TICKET_S, scopes=sorted(who.scopes), credential=who.credential, epoch=epoch
    )
    return ticket


class TicketTaker:
    """Takes each ticket of one audience once. One per process and audience: it alone knows which were used."""

    def __init__(self, secret: bytes, clock: Clock, audience: str = BRIDGE) -> None:
        self._signer, self._clock = _signer(secret, audience, clock), clock
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        # Of those before, nobody remembers here which were used.
        self._since = clock.wall_ns() / NS

    def redeem(self, ticket: str) -> Principal:
        """Who has the ticket, as they were when they got it. Raises Unauthorized, or TooMany."""
        return principal_of(self.take(ticket))

    def take(self, ticket: str) -> Claims:
        """What the ticket says; it is used up now. Raises Unauthorized, or TooMany."""
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
        return claims

    def _forget_expired(self) -> None:
        now = self._clock.wall_ns() / NS
        self._used = {name: until for name, until in self._used.items() if until > now}
        if len(self._used) >= _MOST_USED:
            raise TooMany("More tickets are used than can be remembered. Try again in a moment.", TICKET_S)


def principal_of(claims: Claims) -> Principal:
    """The caller that a ticket names."""
    scopes = frozenset(claims.more.get("scopes", ())) & frozenset(SCOPES)
    return Principal(claims.subject, scopes, via="ticket", credential=str(claims.more.get("credential", "")))


def _signer(secret: bytes, audience: str, clock: Clock) -> Signer:
    return Signer(secret, f"ticket:{audience}", clock)


def _refused() -> Unauthorized:
    return Unauthorized("This ticket is not valid, used or expired. Ask POST /auth/ticket for another.")
