# SPDX-License-Identifier: Apache-2.0
"""Logins: an hour each, ended by logging out, by a new password or by the account's end."""

import threading

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import sessionmaker

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import Unauthorized
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts.signed import Claims, Signer
from lerobot_arena.platform.accounts.tables import EndedLoginRow
from lerobot_arena.platform.accounts.users import User
from lerobot_arena.platform.storage.database import answering

LOGIN_S = 3600


class Logins:
    """Blocking but `check`, which needs no database; call the rest off the event loop."""

    def __init__(self, engine: Engine, secret: bytes, clock: Clock) -> None:
        self._open, self._clock = sessionmaker(engine), clock
        self._signer = Signer(secret, "login", clock)
        self._lock = threading.Lock()
        self._ended: dict[str, float] = {}

    def begin(self, user: User) -> str:
        """A login of a user whose password was right."""
        token, _ = self._signer.sign(user.name, for_s=LOGIN_S, epoch=user.login_epoch)
        return token

    def check(self, token: str) -> Claims:
        """What a login says. Raises Unauthorized when it is foreign, expired, or known to have ended."""
        claims = self._signer.check(token)
        with self._lock:
            if claims.id in self._ended:
                raise _ended()
        return claims

    def check_running(self, login_id: str) -> None:
        """Asks the database as well, where another process may have ended it. Raises Unauthorized."""
        with answering(), self._open() as db:
            row = db.get(EndedLoginRow, login_id)
        if row is not None:
            with self._lock:
                self._ended[login_id] = row.expires_at
            raise _ended()

    def end(self, login_id: str) -> None:
        """Nobody gets in with it from now on; what has expired by itself is forgotten."""
        now = self._clock.wall_ns() / NS
        until = now + LOGIN_S
        with self._lock:
            self._ended = {name: at for name, at in self._ended.items() if at > now}
            self._ended[login_id] = until
        with answering(), self._open.begin() as db:
            db.execute(delete(EndedLoginRow).where(EndedLoginRow.expires_at <= now))
            if db.get(EndedLoginRow, login_id) is None:
                db.add(EndedLoginRow(login_id=login_id, expires_at=until))

    def load(self) -> None:
        """Know the ended ones from the start, as a login is looked up in memory first."""
        with answering(), self._open() as db:
            ended = {row.login_id: row.expires_at for row in db.scalars(select(EndedLoginRow))}
        with self._lock:
            self._ended |= ended


def login_of(claims: Claims, scopes: frozenset[str] = frozenset()) -> Principal:
    """The caller that a login names."""
    return Principal(
        claims.subject,
        scopes,
        via="login",
        credential=claims.id,
        epoch=claims.more.get("epoch", 0),
        expires_at=claims.expires_at,
    )


def _ended() -> Unauthorized:
    return Unauthorized("This login has ended. Log in again.")
