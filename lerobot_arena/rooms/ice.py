# SPDX-License-Identifier: Apache-2.0
"""Which ICE servers are used and told to clients, and over which addresses and ports media may come in.

None by default: nobody is asked for our address unless the operator says whom.
"""

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from lerobot_arena.core.errors import InvalidInput

SERVERS_VARIABLE, SECRET_VARIABLE = "ARENA_ICE_SERVERS", "ARENA_TURN_SECRET"
LOOPBACK = ("127.0.0.1",)
EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})
TURN_LIFE_S = 6 * 3600
_SCHEMES = ("stun:", "stuns:", "turn:", "turns:")

IceServer = dict[str, Any]


def ice_servers(urls: Sequence[str], environment: Mapping[str, str]) -> list[IceServer]:
    """The servers of the parameter, else of ARENA_ICE_SERVERS: URLs parted by commas, or a JSON list of objects
    {urls, username?, credential?}. Raises InvalidInput.
    """
    if urls:
        return [_server({"urls": [url]}) for url in urls]
    text = environment.get(SERVERS_VARIABLE, "").strip()
    if not text.startswith("["):
        return [_server({"urls": [url.strip()]}) for url in text.split(",") if url.strip()]
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{SERVERS_VARIABLE} is not JSON: {error}.") from error
    return [_server(item) for item in listed]


def _server(value: Any) -> IceServer:
    if not isinstance(value, dict) or not set(value) <= {"urls", "username", "credential"}:
        raise InvalidInput(
            f"An ICE server is an object with urls, username and credential, not {value!r:.80}."
        )
    urls = [value["urls"]] if isinstance(value.get("urls"), str) else value.get("urls")
    if not isinstance(urls, list) or not urls:
        raise InvalidInput("An ICE server needs urls.")
    for url in urls:
        if not isinstance(url, str) or not url.startswith(_SCHEMES) or len(url) > 300:
            raise InvalidInput(f"{url!r:.80} is no ICE server: write stun:host:port or turn:host:port.")
    return {**value, "urls": urls}


def with_passes(servers: Sequence[IceServer], secret: str, now_s: float) -> list[IceServer]:
    """The servers with passwords for TURN that end after TURN_LIFE_S: coturn's `use-auth-secret`.

    Method: draft-uberti-behave-turn-rest-00. Servers that have a username keep it.
    """
    if not secret:
        return list(servers)
    username = f"{int(now_s) + TURN_LIFE_S}:arena"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    password = base64.b64encode(digest).decode()
    return [
        {**server, "username": username, "credential": password}
        if server["urls"][0].startswith("turn") and "username" not in server
        else server
        for server in servers
    ]


def host_addresses(wanted: Sequence[str], present: Sequence[str]) -> list[str]:
    """IP addresses to offer media on: loopback unless others are named; 0.0.0.0 and :: mean every one of `present`.

    Raises InvalidInput for a name that does not resolve.
    """
    if not wanted:
        return list(LOOPBACK)
    if not EVERY_ADDRESS.isdisjoint(wanted):
        return list(dict.fromkeys((*LOOPBACK, *present)))
    return list(dict.fromkeys(_address_of(name) for name in wanted))


def _address_of(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        return socket.gethostbyname(name)
    except OSError as error:
        raise InvalidInput(f"ice_addresses: {name!r} is no address of this machine: {error}.") from error


def port_range(text: str) -> range | None:
    """`40000-40100` as a range, empty as None. Raises InvalidInput."""
    if not text:
        return None
    first, dash, last = text.partition("-")
    if not (dash and first.isdigit() and last.isdigit() and 1024 <= int(first) <= int(last) <= 65535):
        raise InvalidInput(f"udp_ports {text!r} must be like 40000-40100, from 1024 to 65535.")
    return range(int(first), int(last) + 1)
