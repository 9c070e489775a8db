# SPDX-License-Identifier: Apache-2.0
"""What a session's `arena_server_url` means: rooms here, rooms of an arena that is allowed, or nothing. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from lerobot_arena.core.errors import Forbidden, InvalidInput

DEFAULT_ARENA = "http://localhost:8000"
"""Seed 1's default: whatever it names elsewhere, here it has always meant the rooms of this server."""
_PORTS = {"http": 80, "https": 443}


def remote_arena(
    url: str,
    *,
    own_names: Sequence[str],
    port: int,
    allowed: Sequence[str],
    public_names: Sequence[str] = (),
) -> str | None:
    """The base URL of the arena whose rooms a session joins; None: the rooms are here.

    `allowed` are base URLs, `public_names` those of this server at whatever port, as a proxy before it may have.
    Raises InvalidInput for what is no URL, Forbidden for one that is not allowed: a client must not make this server
    call wherever it likes.
    """
    base = url.rstrip("/")
    if base == DEFAULT_ARENA:
        return None
    scheme, host, number, path = _parts(base)
    if number == port and (_is_this_machine(host) or host in map(_plain, own_names)):
        return None
    for entry in allowed:
        other = _parts(entry.rstrip("/"))
        if other[:3] == (scheme, host, number) and path in {other[3], f"{other[3]}/api"}:
            return base
    if host in map(_plain, public_names):
        return None
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


def _plain(host: str) -> str:
    """One spelling for one host; IPv4 within IPv6 as IPv4."""
    try:
        found = ip_address(host)
    except ValueError:
        return host.lower()
    return str(getattr(found, "ipv4_mapped", None) or found)


def _is_this_machine(host: str) -> bool:
    try:
        found = ip_address(host)
    except ValueError:
        return host == "localhost"
    return found.is_loopback or found.is_unspecified


def _parts(url: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        port, host = parts.port, _plain(parts.hostname or "")
    except ValueError:
        raise InvalidInput(f"{url[:200]!r} is not a URL.") from None
    has_more = parts.query or parts.fragment or parts.username is not None or parts.password is not None
    if parts.scheme not in _PORTS or not host or has_more or ".." in parts.path:
        raise InvalidInput(
            f"{url[:200]!r} is not a base URL: http(s)://host[:port][/path], and nothing more."
        )
    return parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/")
