# SPDX-License-Identifier: Apache-2.0
"""What callers who stay connected may do now, all of them with one query per table."""

from collections.abc import Collection

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts.api_tokens import ID_START
from lerobot_arena.platform.accounts.tables import ApiTokenRow, EndedLoginRow, UserRow, from_text
from lerobot_arena.platform.accounts.users import User, user_of
from lerobot_arena.platform.storage.database import answering


class Standing:
    """Blocking; call it off the event loop."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._open, self._clock = sessionmaker(engine), clock

    def scopes_now(self, callers: Collection[Principal]) -> dict[Principal, frozenset[str]]:
        """Their scopes of now; without those whose account, token or login has ended. Raises Unavailable."""
        credentials = {who.credential for who in callers}
        with answering(), self._open() as db:
            users = _users(db, {who.name for who in callers})
            tokens = _token_scopes(db, {each for each in credentials if each.startswith(ID_START)})
            ended = set(
                db.scalars(select(EndedLoginRow.login_id).where(EndedLoginRow.login_id.in_(credentials)))
            )
        now = self._clock.wall_ns() / NS
        found = {}
        for who in callers:
            user = users.get(who.name)
            if user is None or user.is_disabled:
                continue
            if who.credential.startswith(ID_START):
                if who.credential in tokens:
                    found[who] = tokens[who.credential] & user.scopes
            elif who.credential not in ended and _is_running(who, user, now):
                found[who] = user.scopes
        return found


def _users(db: Session, names: set[str]) -> dict[str, User]:
    return {row.name: user_of(row) for row in db.scalars(select(UserRow).where(UserRow.name.in_(names)))}


def _token_scopes(db: Session, ids: set[str]) -> dict[str, frozenset[str]]:
    active = select(ApiTokenRow).where(ApiTokenRow.id.in_(ids), ApiTokenRow.revoked_at.is_(None))
    return {row.id: from_text(row.scopes) for row in db.scalars(active)}


def _is_running(who: Principal, user: User, now: float) -> bool:
    return who.epoch == user.login_epoch and (who.expires_at is None or now < who.expires_at)
