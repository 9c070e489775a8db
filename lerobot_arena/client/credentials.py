# SPDX-License-Identifier: Apache-2.0
"""Tokens of `arena login`, one per bridge, in a file only its owner reads."""

import json
import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from lerobot_arena.core.address import TOKEN_VARIABLE
from lerobot_arena.core.errors import InvalidInput, Unavailable

CONFIG_VARIABLE = "ARENA_CONFIG_DIR"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def token_for(url: str) -> str:
    """ARENA_TOKEN, else what a login stored for exactly this bridge, else ''."""
    return os.environ.get(TOKEN_VARIABLE, "") or stored_token(url)


def stored_token(url: str) -> str:
    """What a login stored for exactly this bridge, else ''."""
    return stored_tokens().get(_key(url), "")


def store_token(url: str, token: str) -> Path:
    """Keep a token; the file it is in."""
    return _write({**stored_tokens(), _key(url): token})


def forget_token(url: str) -> bool:
    """Whether there was one."""
    tokens = stored_tokens()
    had = tokens.pop(_key(url), None) is not None
    if had:
        _write(tokens)
    return had


def stored_tokens() -> dict[str, str]:
    """Bridge → token. Raises InvalidInput when others may read the file, or it is none of ours."""
    path = tokens_file()
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o077:
                raise InvalidInput(
                    f"Others may read the tokens in {path}: `chmod 600 {path}`, and log in again."
                )
            content = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}): delete it, and log in again.") from error
    found = content if isinstance(content, dict) else {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}


def tokens_file() -> Path:
    """Below ARENA_CONFIG_DIR, else the user's configuration folder."""
    chosen = os.environ.get(CONFIG_VARIABLE)
    if chosen:
        return Path(chosen).expanduser() / "tokens.json"
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "lerobot_arena" / "tokens.json"


def _key(url: str) -> str:
    """A token is for one server; whether it is asked below /api or not makes no difference."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/api")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}{path}"


def _write(tokens: dict[str, str]) -> Path:
    path = tokens_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes it 0600, so that at no moment anybody else could open it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tokens-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(tokens, file, indent=1)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}. Set {CONFIG_VARIABLE}.") from error
    return path
