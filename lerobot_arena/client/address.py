# SPDX-License-Identifier: Apache-2.0
"""Where a bridge is, and the URL of each of its paths. Pure but for the environment."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from lerobot_arena.core import addresses
from lerobot_arena.core.address import DEFAULT_PORT, PORT_VARIABLE, URL_VARIABLE
from lerobot_arena.core.errors import InvalidInput

_API = "/api"
# Surfaces of the original servers: where the bridge is hosted below /api they are below it as well.
_ALSO_BELOW_API = ("/sessions", "/debug", "/health", "/mcap", "/robotics", "/video")
_PLAIN = re.compile(r"[!-~]+")


def bridge_url(chosen: str | None = None, *, port: int | None = None) -> str:
    """The bridge's base URL: `chosen`, else the port, else ARENA_URL, else ARENA_BRIDGE_PORT on this machine."""
    url = chosen or (None if port else os.environ.get(URL_VARIABLE))
    if not url:
        url = f"http://127.0.0.1:{port or os.environ.get(PORT_VARIABLE) or DEFAULT_PORT}"
    try:
        parts = urlsplit(url)
        is_url = (
            is_plain(url) and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        )
        (parts.hostname or "").encode("idna")
    except ValueError:
        is_url = False
    if not is_url:
        raise InvalidInput(
            f"{url!r} is not a URL: it starts with http:// or https:// and a host; a port is a number up to 65535, "
            f"and all of it is ASCII without spaces. It comes from --url, {URL_VARIABLE} or {PORT_VARIABLE}."
        )
    if parts.username or parts.password:
        raise InvalidInput("A URL is no place for a password: use `arena login`, or a token in ARENA_TOKEN.")
    if parts.query or parts.fragment:
        raise InvalidInput(f"{url!r} has more than an address: leave out what follows '?' or '#'.")
    return parts.geturl().rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the bridge is on this machine, so that no proxy may stand between."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or addresses.is_loopback(host)


def is_plain(text: str) -> bool:
    """Printable ASCII without a space: all that a header or the line of a request can carry."""
    return _PLAIN.fullmatch(text) is not None


def url_of(base: str, path: str, query: Mapping[str, Any] | None = None) -> str:
    """`path` is as on a bridge at the root; `base` may be its root or end in /api, the original's hosted layout."""
    if base.endswith(_API):
        root = base.removesuffix(_API)
        is_below = any(path == name or path.startswith(f"{name}/") for name in _ALSO_BELOW_API)
        url = f"{root}{_API}{path}" if is_below else root + path
    else:
        url = base + path
    text = urlencode({key: _text(value) for key, value in (query or {}).items() if value is not None})
    return f"{url}?{text}" if text else url


def socket_url(base: str, path: str, query: Mapping[str, Any] | None = None) -> str:
    """The same for a WebSocket; the base's path is kept."""
    return "ws" + url_of(base, path, query).removeprefix("http")


def segment(value: str) -> str:
    """An id as one part of a path. Raises InvalidInput for what a path cannot hold."""
    if value in {"", ".", ".."}:
        raise InvalidInput(f"{value!r} is no name.")
    return quote(value, safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list | tuple) else str(value)
