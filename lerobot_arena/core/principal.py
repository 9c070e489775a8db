# SPDX-License-Identifier: Apache-2.0
"""Who asks for something, and what they may do. Pure; bridge/access.py finds out, everybody else only reads."""

from dataclasses import dataclass

from lerobot_arena.core.errors import Forbidden, NotFound

SESSIONS_READ = "sessions:read"
SESSIONS_OPERATE = "sessions:operate"
ROOMS_JOIN = "rooms:join"
CATALOG_WRITE = "catalog:write"
ROBOTICS_READ = "robotics:read"
ROBOTICS_WRITE = "robotics:write"
MODELS_WRITE = "models:write"
ADMIN = "admin"
SCOPES = (
    SESSIONS_READ,
    SESSIONS_OPERATE,
    ROOMS_JOIN,
    CATALOG_WRITE,
    ROBOTICS_READ,
    ROBOTICS_WRITE,
    MODELS_WRITE,
    ADMIN,
)
USER_SCOPES = tuple(scope for scope in SCOPES if scope != ADMIN)
"""What a user has unless an admin narrows it."""

ANONYMOUS_NAME = "anonymous"
LOCAL_NAME = "local"
"""The person at the machine; owns what was made without a login. No user may have either name."""


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller. `via` says how they proved it: none, local, login, token or ticket.

    `local` is a caller on loopback without credentials, when loopback is trusted. `address` is the peer's.
    """

    name: str = ANONYMOUS_NAME
    scopes: frozenset[str] = frozenset()
    via: str = "none"
    is_loopback: bool = False
    address: str = ""
    credential: str = ""
    """Id of the login or API token that was used; never its secret."""
    epoch: int = 0
    """Of a login: its user's when they logged in. See `User.login_epoch`."""
    expires_at: float | None = None
    """When a login ends by itself, in seconds since 1970."""

    @property
    def is_anonymous(self) -> bool:
        """Nobody we know."""
        return self.via == "none"

    @property
    def is_user(self) -> bool:
        """A person with an account, as seed 2 wants it even on loopback."""
        return self.via in {"login", "token", "ticket"}

    @property
    def is_admin(self) -> bool:
        """May see and end everything."""
        return ADMIN in self.scopes

    @property
    def sees_all(self) -> bool:
        """An admin, and the person at the robot."""
        return self.is_admin or self.via == "local"

    def may(self, scope: str) -> bool:
        """Has the scope, by itself or as an admin."""
        return scope in self.scopes or self.is_admin

    def sees(self, owner: str) -> bool:
        """May know that something of `owner` exists."""
        return self.sees_all or (self.is_user and owner == self.name)

    def check_sees(self, owner: str, what: str) -> None:
        """Raises NotFound, as if it did not exist, for somebody else's."""
        if not self.sees(owner):
            raise NotFound(f"{what} not found")

    def check_may(self, scope: str) -> None:
        """Raises Forbidden naming the missing scope."""
        if not self.may(scope):
            raise Forbidden(f"This needs the scope {scope}. {self.name} does not have it.")


ANONYMOUS = Principal()
LOCAL = Principal(LOCAL_NAME, frozenset(USER_SCOPES), via="local", is_loopback=True, address="127.0.0.1")
