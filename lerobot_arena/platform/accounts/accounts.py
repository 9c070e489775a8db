# SPDX-License-Identifier: Apache-2.0
"""Accounts as the rest of the package sees them: who is this credential, log in, log out, a ticket please."""

from collections.abc import Set
from dataclasses import dataclass

from sqlalchemy import Engine

from lerobot_arena.core.clock import NS, Clock, SystemClock
from lerobot_arena.core.errors import Forbidden, InvalidInput, Unauthorized
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts import tickets
from lerobot_arena.platform.accounts.api_tokens import (
    ID_START,
    SECRET_START,
    ApiToken,
    ApiTokens,
    effective,
    token_scopes,
)
from lerobot_arena.platform.accounts.batcher import Batcher
from lerobot_arena.platform.accounts.first_admin import FirstAdmin
from lerobot_arena.platform.accounts.identities import STALE_S, Identities, Identity
from lerobot_arena.platform.accounts.logins import LOGIN_S, Logins
from lerobot_arena.platform.accounts.throttle import LoginThrottle
from lerobot_arena.platform.accounts.users import User, Users

_LONGEST_CREDENTIAL = 4096
_NOTE_USE_EVERY_S = 60.0
_MOST_USES = 4096


@dataclass(frozen=True, slots=True)
class Login:
    """What somebody gets for their password."""

    access_token: str
    user: User
    expires_in_s: int = LOGIN_S


class Accounts:
    """Everything about callers. Blocking, except `recall`; call it off the event loop."""

    def __init__(
        self,
        engine: Engine,
        secret: bytes,
        *,
        clock: Clock | None = None,
        reserved: Set[str] = frozenset(),
        tries_per_minute: int = 5,
        tries_per_address: int = 30,
    ) -> None:
        self._clock, self._secret = clock or SystemClock(), secret
        self.users = Users(engine, self._clock, self._forget, reserved=reserved)
        self.tokens = ApiTokens(engine, self._clock, self._forget)
        self.first_admin = FirstAdmin(self.users)
        self._logins = Logins(engine, secret, self._clock)
        self._taker = tickets.TicketTaker(secret, self._clock)
        self._identities = Identities(self._clock)
        self._throttle = LoginThrottle(tries_per_minute=tries_per_minute, tries_per_address=tries_per_address)
        self._uses: Batcher[tuple[str, float]] = Batcher(
            self.tokens.write_uses, "when tokens were used", most_waiting=_MOST_USES
        )
        self._noted: dict[str, int] = {}
        self._logins.load()

    # Who is this?

    def identify(self, credential: str) -> Principal:
        """The caller with this login or API token. Raises Unauthorized, or Unavailable without a database.

        Mostly from memory; what another process revokes is felt within `identities.FRESH_S`.
        """
        if len(credential) > _LONGEST_CREDENTIAL:
            raise _unknown()
        who = self._identities.get(credential)
        if who is None:
            generation = self._identities.generation
            identity = self._look_up(credential)
            self._identities.put(credential, identity, generation)
            who = identity.principal
        if who.via == "token":
            self._note_use(who.credential)
        return who

    def recall(self, credential: str, *, max_age_s: float = STALE_S) -> Principal | None:
        """Who that was when it was last looked up; never waits. For an e-stop while the database does not answer."""
        return self._identities.get(credential, max_age_s=max_age_s)

    def redeem_ticket(self, ticket: str) -> Principal:
        """The caller with this ticket, which is used up. Raises Unauthorized."""
        claims = self._taker.take(ticket)
        who = tickets.principal_of(claims)
        user = self._user_for(who.name, claims.more.get("epoch"))
        scopes = user.scopes
        if who.credential.startswith(ID_START):
            found = self.tokens.find_by_id(who.credential)
            if found is None:
                raise _unknown()
            scopes = effective(*found)
        else:
            self._logins.check_running(who.credential)
        return Principal(who.name, who.scopes & scopes, via="ticket", credential=who.credential)

    def has_users(self) -> bool:
        """Somebody has an account."""
        return self.users.exist()

    # What people do

    def log_in(self, name: str, password: str, address: str) -> Login:
        """Raises Unauthorized, or TooMany with the time to wait."""
        self._throttle.count(name, address)
        user = self.users.check_password(name, password)
        self._throttle.forgive(name, address)
        return Login(self._logins.begin(user), user)

    def log_out(self, who: Principal) -> None:
        """End the login that was used to ask. Raises InvalidInput when it was none."""
        if who.via != "login":
            raise InvalidInput(
                "Only a login can be ended so. Revoke an API token with DELETE /api/api-tokens/<id>."
            )
        self._identities.forget(credential_id=who.credential)
        try:
            self._logins.end(who.credential)
        finally:
            # Also what was being looked up meanwhile.
            self._identities.forget(credential_id=who.credential)

    def change_password(self, who: Principal, old: str, new: str, address: str) -> None:
        """A new password for oneself; all of one's logins end. Raises Unauthorized, TooMany, InvalidInput."""
        if not who.is_user:
            raise Unauthorized("Log in to change your password.")
        self._throttle.count(who.name, address)
        self.users.check_password(who.name, old)
        self._throttle.forgive(who.name, address)
        self.users.change(who.name, password=new)

    def claim_first_admin(self, secret: str, name: str, password: str, address: str) -> Login:
        """Become the first admin. Raises Conflict, Unauthorized, TooMany, InvalidInput."""
        self._throttle.count("", address)
        user = self.first_admin.claim(secret, name, password)
        return Login(self._logins.begin(user), user)

    def mint_ticket(self, who: Principal, audience: str = tickets.BRIDGE) -> str:
        """A ticket for a place that takes no headers. Raises Unauthorized, Forbidden, InvalidInput."""
        if not who.is_user:
            raise Unauthorized("Log in to get a ticket.")
        if who.via == "ticket":
            raise Forbidden("A ticket buys no other ticket. Ask with a login or an API token.")
        user = self.users.find(who.name)
        if user is None:
            raise _unknown()
        return tickets.mint(self._secret, who, self._clock, audience, epoch=user.login_epoch)

    def create_token(self, who: Principal, name: str, scopes: Set[str] | None = None) -> tuple[ApiToken, str]:
        """A new API token and its secret. Raises Unauthorized, InvalidInput, Conflict."""
        if not who.is_user:
            raise Unauthorized("Log in to create an API token.")
        return self.tokens.create(who.name, name, token_scopes(who, scopes))

    def flush(self) -> None:
        """Wait until it is written when tokens were used."""
        self._uses.flush()

    def close(self) -> None:
        """Write what waits."""
        self._uses.close()

    def _forget(self, name: str) -> None:
        self._identities.forget(user=name)

    def _look_up(self, credential: str) -> Identity:
        if credential.startswith(SECRET_START):
            found = self.tokens.find(credential)
            if found is None or found[1].is_disabled:
                raise _unknown()
            token, owner = found
            return Identity(Principal(owner.name, effective(token, owner), via="token", credential=token.id))
        claims = self._logins.check(credential)
        user = self._user_for(claims.subject, claims.more.get("epoch"))
        self._logins.check_running(claims.id)
        who = Principal(user.name, user.scopes, via="login", credential=claims.id)
        return Identity(who, claims.expires_at)

    def _user_for(self, name: str, epoch: object) -> User:
        """The user of a login or ticket, if it still is one of theirs. Raises Unauthorized."""
        user = self.users.find(name)
        if user is None or user.is_disabled or epoch != user.login_epoch:
            raise _unknown()
        return user

    def _note_use(self, token_id: str) -> None:
        now_ns = self._clock.steady_ns()
        before_ns = self._noted.get(token_id)
        if before_ns is not None and now_ns - before_ns < _NOTE_USE_EVERY_S * NS:
            return
        if len(self._noted) >= _MOST_USES:
            self._noted.clear()
        self._noted[token_id] = now_ns
        self._uses.add((token_id, self._clock.wall_ns() / NS))


def _unknown() -> Unauthorized:
    return Unauthorized("This login or API token is not valid. Log in again, or create another token.")
