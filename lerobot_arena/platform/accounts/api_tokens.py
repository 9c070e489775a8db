# SPDX-License-Identifier: Apache-2.0
"""API tokens of seed 2: a secret shown once, kept as its SHA-256.

A fast hash is right here: the secret is 256 random bits, so there is nothing to guess that argon2 would slow down,
and it is checked with requests, where 30 ms and 19 MiB each would be a gift to whoever floods us.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.orm import sessionmaker

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import Conflict, InvalidInput, NotFound
from lerobot_arena.core.principal import ADMIN, Principal
from lerobot_arena.platform.accounts.names import check_scopes
from lerobot_arena.platform.accounts.tables import ApiTokenRow, UserRow, from_text, to_text
from lerobot_arena.platform.accounts.users import User, user_of
from lerobot_arena.platform.storage.database import answering

SECRET_START = "rr_live_"
ID_START = "token_"
_PREFIX_CHARS = 12
_MOST_ACTIVE = 100
_LONGEST_NAME = 200
_KEEP_REVOKED_S = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token without its secret; times in seconds since 1970. `scopes` is the most it can do; see `effective`."""

    id: str
    owner: str
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: float
    last_used_at: float | None = None
    revoked_at: float | None = None


class ApiTokens:
    """Blocking; call it off the event loop. `changed` is called with the owner whose tokens were revoked."""

    def __init__(self, engine: Engine, clock: Clock, changed: Callable[[str], None]) -> None:
        self._open, self._clock, self._changed = sessionmaker(engine), clock, changed

    def create(self, owner: str, name: str, scopes: Set[str]) -> tuple[ApiToken, str]:
        """A new token and its secret, which nobody can find out again. Raises InvalidInput, Conflict for too many."""
        token, secret = self._new(owner, check_token_name(name), frozenset(scopes))
        with answering(), self._open.begin() as db:
            db.execute(delete(ApiTokenRow).where(ApiTokenRow.revoked_at < token.created_at - _KEEP_REVOKED_S))
            if db.get(UserRow, owner) is None:
                raise NotFound(f"There is no user {owner}.")
            active = select(func.count()).select_from(ApiTokenRow).where(*_active(owner))
            if (db.scalar(active) or 0) >= _MOST_ACTIVE:
                raise Conflict(f"You have {_MOST_ACTIVE} API tokens. Revoke those that nothing uses.")
            db.add(_row(token, secret))
        return token, secret

    def active(self, owner: str) -> list[ApiToken]:
        """Those of a user that still open something, newest first."""
        with answering(), self._open() as db:
            rows = db.scalars(select(ApiTokenRow).where(*_active(owner)))
            return sorted(map(_token, rows), key=lambda token: (-token.created_at, token.id))

    def revoke(self, owner: str, token_id: str) -> None:
        """End one. Raises NotFound when the owner has no such active token."""
        if not token_id.isprintable() or self._revoke(owner, ApiTokenRow.id == token_id) == 0:
            raise NotFound("You have no active API token with that id.")

    def revoke_all(self, owner: str) -> int:
        """End all of a user's; how many those were."""
        return self._revoke(owner)

    def _revoke(self, owner: str, *which: ColumnElement[bool]) -> int:
        with answering(), self._open.begin() as db:
            now = self._clock.wall_ns() / NS
            # By the ids: what an UPDATE reports as its row count is the driver's to say.
            ids = db.scalars(select(ApiTokenRow.id).where(*_active(owner), *which).with_for_update()).all()
            db.execute(update(ApiTokenRow).where(ApiTokenRow.id.in_(ids)).values(revoked_at=now))
        self._changed(owner)
        return len(ids)

    def find(self, secret: str) -> tuple[ApiToken, User] | None:
        """The active token with this secret, and its owner."""
        return self._with_owner(ApiTokenRow.secret_hash == _hash(secret))

    def find_by_id(self, token_id: str) -> tuple[ApiToken, User] | None:
        """The active token with this id, and its owner."""
        return self._with_owner(ApiTokenRow.id == token_id)

    def _with_owner(self, which: ColumnElement[bool]) -> tuple[ApiToken, User] | None:
        query = select(ApiTokenRow, UserRow).join(UserRow, UserRow.name == ApiTokenRow.owner)
        with answering(), self._open() as db:
            found = db.execute(query.where(which, ApiTokenRow.revoked_at.is_(None))).first()
            return (_token(found[0]), user_of(found[1])) if found else None

    def write_uses(self, uses: Iterable[tuple[str, float]]) -> None:
        """Note when tokens were last used, seconds since 1970."""
        with self._open.begin() as db:
            for token_id, at in uses:
                db.execute(update(ApiTokenRow).where(ApiTokenRow.id == token_id).values(last_used_at=at))

    def _new(self, owner: str, name: str, scopes: frozenset[str]) -> tuple[ApiToken, str]:
        secret = SECRET_START + secrets.token_urlsafe(32)
        now = self._clock.wall_ns() / NS
        token_id = ID_START + secrets.token_hex(8)
        return ApiToken(token_id, owner, name, secret[:_PREFIX_CHARS], scopes, now), secret


def check_token_name(name: str) -> str:
    """Return the name without the spaces around it. Raises InvalidInput."""
    name = name.strip()
    if not name:
        raise InvalidInput("name is required: say what the token is for, such as 'MacBook Pro'.")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"name must be at most {_LONGEST_NAME} printable characters.")
    return name


def token_scopes(who: Principal, asked: Set[str] | None) -> frozenset[str]:
    """What a new token of `who` may do. Raises InvalidInput for what they may not do themselves.

    Not asked: all of theirs but `admin`, which a token in a script should have only when somebody meant it.
    """
    if asked is None:
        return who.scopes - {ADMIN}
    return check_scopes(asked, who.scopes)


def effective(token: ApiToken, owner: User) -> frozenset[str]:
    """What a token may do now: never more than its owner."""
    return token.scopes & owner.scopes


def _active(owner: str) -> tuple[ColumnElement[bool], ...]:
    return ApiTokenRow.owner == owner, ApiTokenRow.revoked_at.is_(None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _row(token: ApiToken, secret: str) -> ApiTokenRow:
    return ApiTokenRow(
        id=token.id,
        owner=token.owner,
        name=token.name,
        prefix=token.prefix,
        secret_hash=_hash(secret),
        scopes=to_text(token.scopes),
        created_at=token.created_at,
        last_used_at=None,
        revoked_at=None,
    )


def _token(row: ApiTokenRow) -> ApiToken:
    return ApiToken(
        row.id,
        row.owner,
        row.name,
        row.prefix,
        from_text(row.scopes),
        row.created_at,
        row.last_used_at,
        row.revoked_at,
    )
