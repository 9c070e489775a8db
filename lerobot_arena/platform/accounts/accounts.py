# SPDX-License-Identifier: Apache-2.0
"""Accounts as the rest of the package sees them: who is this credential, log in, log out, a ticket please."""

from collections.abc import Callable, Collection, Set
from dataclasses import dataclass, replace

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
from lerobot_arena.platform.accounts.identities import STALE_S, Identities
from lerobot_arena.platform.accounts.logins import LOGIN_S, Logins, login_of
from lerobot_arena.platform.accounts.standing import Standing
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
    """Everything about callers. Blocking, except `known` and `recall`; call it off the event loop."""

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
        self._standing = Standing(engine, self._clock)
        self.listeners: list[Callable[[], None]] = []
        """Called, in any thread, when somebody's access ended or changed here."""
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
            try:
                who = self._look_up(credential)
            except Unauthorized:
                self._identities.drop(credential)
                raise
            self._identities.put(credential, who, generation)
        if who.via == "token":
            self._note_use(who.credential)
        return who

    def known(self, credential: str) -> Principal | None:
        """Who that is, when it was looked up within the last seconds; never waits."""
        return self._identities.get(credential)

    def recall(self, credential: str) -> Principal | None:
        """Who that was when it was last looked up, else whom a login names by its signature alone; never waits.

        For an e-stop while the database does not answer. Without a look-up nobody has a scope.
        """
        remembered = self._identities.get(credential, max_age_s=STALE_S)
        if remembered is not None or credential.startswith(SECRET_START):
            return remembered
        try:
            return login_of(self._logins.check(credential))
        except Unauthorized:
            return None

    def redeem_ticket(self, ticket: str) -> Principal:
        """The caller with this ticket, which is used up. Raises Unauthorized."""
        who = self._taker.redeem(ticket)
        user = self._user_for(who.name, who.epoch)
        scopes = user.scopes
        if who.credential.startswith(ID_START):
            found = self.tokens.find_by_id(who.credential)
            if found is None:
                raise _unknown()
            scopes = effective(*found)
        else:
            self._logins.check_running(who.credential)
        return replace(who, scopes=who.scopes & scopes)

    def scopes_now(self, callers: Collection[Principal]) -> dict[Principal, frozenset[str]]:
        """What those who came in earlier may do now; who is not in it may do nothing any more. Raises Unavailable."""
        return self._standing.scopes_now(callers)

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
            self._tell_listeners()

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

    def mint_ticket(self, who: Principal) -> str:
        """A ticket for a place that takes no headers. Raises Unauthorized, Forbidden."""
        if not who.is_user:
            raise Unauthorized("Log in to get a ticket.")
        if who.via == "ticket":
            raise Forbidden("A ticket buys no other ticket. Ask with a login or an API token.")
        user = self.users.find(who.name)
        if user is None:
            raise _unknown()
        return tickets.mint(self._secret, replace(who, epoch=user.login_epoch), self._clock)

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
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self.listeners:
            listener()

    def _look_up(self, credential: str) -> Principal:
        if credential.startswith(SECRET_START):
            found = self.tokens.find(credential)
            if found is None or found[1].is_disabled:
                raise _unknown()
            token, owner = found
            return Principal(owner.name, effective(token, owner), via="token", credential=token.id)
        claims = self._logins.check(credential)
        user = self._user_for(claims.subject, claims.more.get("epoch"))
        self._logins.check_running(claims.id)
        return login_of(claims, user.scopes)

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
