# SPDX-License-Identifier: Apache-2.0
"""The key that logins and tickets are signed with: from the environment, else a file only its owner can read."""

import os
import secrets
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput, Unavailable

FILE_NAME = "login_secret"
_LEAST_CHARS = 32


def load_secret(data_dir: Path, given: str = "") -> bytes:
    """`given` (ARENA_JWT_SECRET), else the folder's, which is made at first. Raises InvalidInput, Unavailable."""
    if given:
        return _check(given.encode(), "ARENA_JWT_SECRET")
    path = data_dir / FILE_NAME
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise Unavailable(f"{path} can be read by others, who could log in as anybody: chmod 600 {path}")
        return _check(path.read_bytes().strip(), str(path))
    except OSError as error:
        raise Unavailable(f"The key for logins cannot be kept: {error}. Set ARENA_DATA_DIR.") from error


def _make(path: Path) -> None:
    """Whole or not at all, and never over another process's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _check(key: bytes, origin: str) -> bytes:
    if len(key) < _LEAST_CHARS:
        raise InvalidInput(
            f"{origin} is too short to sign logins with: use at least {_LEAST_CHARS} random characters, "
            "such as those of `openssl rand -base64 48`."
        )
    return key
