# SPDX-License-Identifier: Apache-2.0
"""Passwords: argon2id with OWASP's smallest recommended cost, because the guard ticks on the same processor.

https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html: 19 MiB, two passes, one lane.
"""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from lerobot_arena.core.errors import InvalidInput, TooMany

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST_CHARS, MOST_CHARS = 10, 1024
_AT_ONCE = 2
_PATIENCE_S = 5.0
# Hashing is the one thing here that costs a stranger nothing and us a core and 19 MiB.
_hashing = threading.BoundedSemaphore(_AT_ONCE)


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _of_nobody() -> str:
    return _hasher().hash("of nobody")


def hash_password(password: str) -> str:
    """What is stored of a new password. Raises InvalidInput when too short or long, TooMany when all hands are busy."""
    text = _normal(password)
    if not LEAST_CHARS <= len(text) <= MOST_CHARS:
        raise InvalidInput(
            f"The password must have {LEAST_CHARS} to {MOST_CHARS} characters; a sentence is easy to remember."
        )
    with _turn():
        return _hasher().hash(text)


def is_password(password: str, stored: str | None) -> bool:
    """Compare with what is stored; takes as long when nothing is stored. Raises TooMany when all hands are busy."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > MOST_CHARS:
        return False
    of_nobody = _of_nobody()
    try:
        with _turn():
            _hasher().verify(stored or of_nobody, _normal(password))
    except (VerificationError, InvalidHashError, InvalidInput):
        return False
    return stored is not None


def is_dated(stored: str) -> bool:
    """Hashed with another cost than today's."""
    return _hasher().check_needs_rehash(stored)


@contextmanager
def _turn() -> Iterator[None]:
    if not _hashing.acquire(timeout=_PATIENCE_S):
        raise TooMany("Too many people log in at once. Try again in a moment.", _PATIENCE_S)
    try:
        yield
    finally:
        _hashing.release()


def _normal(password: str) -> str:
    """The same characters, however a keyboard composes them (NIST SP 800-63B 5.1.1.2)."""
    try:
        return unicodedata.normalize("NFKC", password.encode().decode())
    except UnicodeEncodeError as error:
        raise InvalidInput("The password holds something that is no character.") from error
