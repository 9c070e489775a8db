# SPDX-License-Identifier: Apache-2.0
"""Who may connect: programs of this machine, and pages that are on the list.

A browser lets any page open a WebSocket to 127.0.0.1, and foxglove-sdk takes every origin; a page that somebody happens
to read must not start an arm or watch its cameras. `Host` is looked at because of DNS rebinding.
"""

import ipaddress
from collections.abc import Collection

from lerobot_arena.core.errors import InvalidInput

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def check_host(host: str) -> str:
    """Return `host` when it is a loopback address. Raises InvalidInput saying what to do instead."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidInput(
            f"{host!r} is not a loopback address. Whoever reaches this port can start the arm, and there are no access "
            "tokens yet: listen on 127.0.0.1 and use an SSH tunnel (ssh -L 8765:127.0.0.1:8765 …) from other machines."
        )
    return address


def refusal(head: bytes, origins: Collection[str]) -> str:
    """Why the sender of this HTTP request head may not come in; empty: they may."""
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("GET ") or any(line[:1] in {" ", "\t"} for line in lines):
        return "This is a WebSocket server for Foxglove."
    pairs = [line.partition(":") for line in lines[1:] if line]
    headers = [(name.lower(), value.strip().lower()) for name, _, value in pairs]
    hosts = [value for name, value in headers if name == "host"]
    if len(hosts) != 1 or _name_of(hosts[0]) not in _LOOPBACK_NAMES:
        return f"Host {', '.join(hosts)!r} is not this server."
    found = [value.rstrip("/") for name, value in headers if name == "origin"]
    allowed = {origin.lower().rstrip("/") for origin in origins}
    if len(found) > 1 or (found and found[0] not in allowed):
        return f"Pages of {', '.join(found)!r} may not connect. If they should, add them to the parameter origins."
    return ""


def _name_of(host: str) -> str:
    name, _, port = host.rpartition(":")
    if not name or not port.isdigit():
        name = host
    return name.removeprefix("[").removesuffix("]")
