# SPDX-License-Identifier: Apache-2.0
"""Where a bridge is, and what says so."""

DEFAULT_PORT = 8001
URL_VARIABLE = "ARENA_URL"
HOST_VARIABLE = "ARENA_BRIDGE_HOST"
PORT_VARIABLE = "ARENA_BRIDGE_PORT"
TOKEN_VARIABLE = "ARENA_TOKEN"

CERTIFICATE_VARIABLE = "ARENA_TLS_CERT"
_EVERYWHERE = {"0.0.0.0", "::"}


def url_from_here(host: str, port: int, *, has_tls: bool = False) -> str:
    """How this machine reaches a bridge that listens on `host`: by loopback, where each one listens as well.

    The door on loopback beside one address of a network has no TLS (bridge/server.py `loopback_beside`).
    """
    is_loopback = host in {"", "localhost", "::1"} or host.startswith("127.")
    reached = host if host and is_loopback else "127.0.0.1"
    scheme = "https" if has_tls and (is_loopback or host in _EVERYWHERE) else "http"
    return f"{scheme}://{f'[{reached}]' if ':' in reached else reached}:{port}"
