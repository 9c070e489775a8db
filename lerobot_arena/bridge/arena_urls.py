# SPDX-License-Identifier: Apache-2.0
"""What a session's `arena_server_url` means: rooms here, rooms of an arena that is allowed, or nothing. Pure."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from lerobot_arena.core.errors import Forbidden, InvalidInput

DEFAULT_ARENA = "http://localhost:8000"
"""Seed 1's default: whatever it names elsewhere, here it has always meant the rooms of this server."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}


def remote_arena(url: str, *, own_names: Sequence[str], port: int, allowed: Sequence[str]) -> str | None:
    """The base URL of the arena whose rooms a session joins; None: the rooms are here.

    `allowed` are base URLs. Raises InvalidInput for what is no URL, Forbidden for one that is not allowed: a client
    must not make this server call wherever it likes.
    """
    base = url.rstrip("/")
    if base == DEFAULT_ARENA:
        return None
    scheme, host, number, path = _parts(base)
    if host in {*_LOOPBACK, *(name.lower() for name in own_names)} and number == port:
        return None
    for entry in allowed:
        other = _parts(entry.rstrip("/"))
        if other[:3] == (scheme, host, number) and path in {other[3], f"{other[3]}/api"}:
            return base
    raise Forbidden(
        f"arena_server_url {url[:200]!r} is not one of the arenas that this server joins. Leave it out for rooms here, "
        "or have its operator add it to ARENA_REMOTE_ARENAS."
    )


def check_base_url(url: str) -> str:
    """A base URL without a slash at its end. Raises ValueError saying what is wrong."""
    try:
        _parts(url.rstrip("/"))
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return url.rstrip("/")


def _parts(url: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").lower()
    except ValueError:
        raise InvalidInput(f"{url[:200]!r} is not a URL.") from None
    has_more = parts.query or parts.fragment or parts.username is not None or parts.password is not None
    if parts.scheme not in _PORTS or not host or has_more or ".." in parts.path:
        raise InvalidInput(
            f"{url[:200]!r} is not a base URL: http(s)://host[:port][/path], and nothing more."
        )
    return parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/")
