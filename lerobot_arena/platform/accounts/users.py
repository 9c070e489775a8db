# SPDX-License-Identifier: Apache-2.0
"""The people with an account: made, changed and removed, and never without an admin again."""

import secrets
from collections.abc import Callable, Set
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import Conflict, InvalidInput, NotFound, Unauthorized
from lerobot_arena.core.principal import SCOPES, USER_SCOPES
from lerobot_arena.platform.accounts.names import check_name, check_scopes, is_name
from lerobot_arena.platform.accounts.passwords import hash_password, is_dated, is_password
from lerobot_arena.platform.accounts.tables import ApiTokenRow, UserRow, from_text, to_text
from lerobot_arena.platform.storage.database import answering

ADMIN_ROLE, USER_ROLE = "admin", "user"
ROLES = (ADMIN_ROLE, USER_ROLE)
_MOST_EPOCHS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class User:
    """One account. `scopes` are those in force: an admin has all of them, whatever is stored."""

    name: str
    role: str
    scopes: frozenset[str]
    created_at: float
    is_disabled: bool = False
    login_epoch: int = 0
    """Logins of another epoch have ended. Starts anywhere, so that a login of a namesake from before fits nobody."""

    @property
    def is_admin(self) -> bool:
        return self.role == ADMIN_ROLE


class Users:
    """Blocking; call it off the event loop. `changed` is called with whose access may have ended or narrowed."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        changed: Callable[[str], None],
        *,
        reserved: Set[str] = frozenset(),
    ) -> None:
        self._open, self._clock, self._changed = sessionmaker(engine), clock, changed
        self._reserved = frozenset(reserved)

    def exist(self) -> bool:
        """There is at least one."""
        with answering(), self._open() as db:
            return db.scalar(select(UserRow.name).limit(1)) is not None

    def all(self) -> list[User]:
        """Everybody, by name."""
        with answering(), self._open() as db:
            return [user_of(row) for row in db.scalars(select(UserRow).order_by(UserRow.name))]

    def get(self, name: str) -> User:
        """One user. Raises NotFound."""
        user = self.find(name)
        if user is None:
            raise _no_user(name)
        return user

    def find(self, name: str) -> User | None:
        """One user, if there is such a one."""
        with answering(), self._open() as db:
            row = _find(db, name)
            return user_of(row) if row is not None else None

    def create(
        self, name: str, password: str, *, role: str = USER_ROLE, scopes: Set[str] | None = None
    ) -> User:
        """A new account; `scopes` None: all that a user can have. Raises InvalidInput, or Conflict when it exists."""
        return self._insert(name, password, role=role, scopes=scopes, only_first=False)

    def create_first(self, name: str, password: str) -> User:
        """The first admin. Raises Conflict when anybody has an account already."""
        return self._insert(name, password, role=ADMIN_ROLE, scopes=None, only_first=True)

    def _insert(
        self, name: str, password: str, *, role: str, scopes: Set[str] | None, only_first: bool
    ) -> User:
        check_name(name, self._reserved)
        row = UserRow(
            name=name,
            password_hash=hash_password(password),
            role=_check_role(role),
            scopes=to_text(check_scopes(frozenset(USER_SCOPES) if scopes is None else scopes)),
            created_at=self._clock.wall_ns() / NS,
            is_disabled=False,
            login_epoch=secrets.randbelow(_MOST_EPOCHS),
        )
        made = user_of(row)
        with answering(), self._open.begin() as db:
            try:
                db.add(row)
                db.flush()
            except IntegrityError as error:
                raise Conflict(f"There is a user {name} already.") from error
            if only_first and db.scalar(select(func.count()).select_from(UserRow)) != 1:
                raise Conflict("There are users already. Ask one of the admins for an account.")
        return made

    def change(
        self,
        name: str,
        *,
        role: str | None = None,
        scopes: Set[str] | None = None,
        is_disabled: bool | None = None,
        password: str | None = None,
    ) -> User:
        """Change what is not None; a new password ends all logins. Raises NotFound, InvalidInput, Conflict."""
        new_hash = hash_password(password) if password is not None else None
        with answering(), self._open.begin() as db:
            _lock_admins(db)
            row = _row(db, name)
            was_admin = _is_active_admin(row)
            if role is not None:
                row.role = _check_role(role)
            if scopes is not None:
                row.scopes = to_text(check_scopes(scopes))
            if is_disabled is not None:
                row.is_disabled = is_disabled
            if new_hash is not None:
                _renew(row, new_hash)
            db.flush()
            _check_admin_left(db, name, was_admin)
            user = user_of(row)
        self._changed(name)
        return user

    def delete(self, name: str) -> None:
        """Remove an account and its tokens. Raises NotFound, or Conflict for the last admin."""
        with answering(), self._open.begin() as db:
            _lock_admins(db)
            row = _row(db, name)
            was_admin = _is_active_admin(row)
            db.execute(delete(ApiTokenRow).where(ApiTokenRow.owner == name))
            db.delete(row)
            db.flush()
            _check_admin_left(db, name, was_admin)
        self._changed(name)

    def check_password(self, name: str, password: str) -> User:
        """Who logs in. Raises Unauthorized, after the same time whether or not there is such a user."""
        with answering(), self._open() as db:
            row = _find(db, name)
        if not is_password(password, row.password_hash if row else None) or row is None or row.is_disabled:
            raise Unauthorized("User name or password is wrong, or the account is disabled.")
        if is_dated(row.password_hash):
            self._renew_hash(row, password)
        return user_of(row)

    def _renew_hash(self, row: UserRow, password: str) -> None:
        renewed = (
            update(UserRow)
            .where(UserRow.name == row.name, UserRow.password_hash == row.password_hash)
            .values(password_hash=hash_password(password))
        )
        with answering(), self._open.begin() as db:
            db.execute(renewed)


def user_of(row: UserRow) -> User:
    """A user as everybody else sees them."""
    scopes = frozenset(SCOPES) if row.role == ADMIN_ROLE else from_text(row.scopes)
    return User(row.name, row.role, scopes, row.created_at, row.is_disabled, row.login_epoch)


def _row(db: Session, name: str) -> UserRow:
    row = _find(db, name)
    if row is None:
        raise _no_user(name)
    return row


def _find(db: Session, name: str) -> UserRow | None:
    # PostgreSQL would fail over a NUL rather than find nobody.
    return db.get(UserRow, name) if is_name(name) else None


def _no_user(name: str) -> NotFound:
    return NotFound(f"There is no user {name[:60]!r}.")


def _admins() -> tuple[ColumnElement[bool], ...]:
    return UserRow.role == ADMIN_ROLE, UserRow.is_disabled.is_(False)


def _lock_admins(db: Session) -> None:
    """Two who remove the last two admins at once take turns: PostgreSQL here, SQLite anyway at the first write."""
    db.scalars(select(UserRow.name).where(*_admins()).order_by(UserRow.name).with_for_update()).all()


def _renew(row: UserRow, password_hash: str) -> None:
    row.password_hash = password_hash
    row.login_epoch = (row.login_epoch + 1) % _MOST_EPOCHS


def _is_active_admin(row: UserRow) -> bool:
    return row.role == ADMIN_ROLE and not row.is_disabled


def _check_role(role: str) -> str:
    if role not in ROLES:
        raise InvalidInput(f"The role {role[:60]!r} is none of {', '.join(ROLES)}.")
    return role


def _check_admin_left(db: Session, name: str, was_admin: bool) -> None:
    if was_admin and db.scalar(select(func.count()).select_from(UserRow).where(*_admins())) == 0:
        raise Conflict(f"{name} is the only admin. Make somebody else an admin first.")
