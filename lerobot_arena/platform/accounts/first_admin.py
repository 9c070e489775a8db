# SPDX-License-Identifier: Apache-2.0
"""The one-time link by which whoever started the bridge becomes its first admin. There is no default password."""

import hmac
import secrets
import threading

from lerobot_arena.core.errors import Conflict, Unauthorized
from lerobot_arena.platform.accounts.users import User, Users


class FirstAdmin:
    """Holds the secret in memory only: a restart makes another."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._lock = threading.Lock()
        self._secret = ""

    def offer(self) -> str:
        """A secret for the terminal of whoever started this; empty when there are users. Ends the one before."""
        with self._lock:
            self._secret = "" if self._users.exist() else secrets.token_urlsafe(32)
            return self._secret

    def claim(self, secret: str, name: str, password: str) -> User:
        """The first admin. Raises Conflict when there are users, Unauthorized for a wrong secret, InvalidInput."""
        with self._lock:
            if self._users.exist():
                raise Conflict("There are users already. Log in, or ask one of the admins for an account.")
            given, held = secret.encode("utf-8", "replace"), self._secret.encode()
            if not held or not hmac.compare_digest(given, held):
                raise Unauthorized("This link is not valid. Take the newest one from the bridge's terminal.")
            user = self._users.create_first(name, password)
            self._secret = ""
            return user
