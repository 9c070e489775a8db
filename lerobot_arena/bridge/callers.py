# SPDX-License-Identifier: Apache-2.0
"""Who a request comes from: the peer's address, whether that is this machine, and the credential it shows."""

import asyncio
import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Scope

from lerobot_arena.core.errors import ArenaError, Unauthorized
from lerobot_arena.core.principal import ANONYMOUS, LOCAL, Principal

Identify = Callable[[str], Principal]
"""From a credential to its owner, blocking. Raises Unauthorized; Unavailable when the database is away."""

ESTOP_PATIENCE_S = 0.25
LONGEST_CREDENTIAL = 4096
_REMEMBERED = 512
_PROXY_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, before anybody asked for its credential."""

    address: str
    is_loopback: bool


def origin_of(scope: Scope, headers: Headers, *, behind_proxy: bool) -> Origin:
    """The peer, or behind a proxy whom that proxy saw last. Nothing that passed a proxy is loopback."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    forwarded = [part.strip() for line in headers.getlist("x-forwarded-for") for part in line.split(",")]
    if behind_proxy:
        return Origin(_plain(forwarded[-1]) if forwarded else address, False)
    is_proxied = any(name in _PROXY_HEADERS or name.startswith("x-forwarded-") for name in headers)
    return Origin(_plain(address), is_loopback(address) and not is_proxied)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own; IPv4 within IPv6 included."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def network_of(address: str) -> str:
    """What counts as one peer for limits: an IPv4 address, or an IPv6 network of one customer (/64)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _plain(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(getattr(found, "ipv4_mapped", None) or found)


def credential_of(headers: Headers) -> str:
    """The login or API token of a request, or nothing. Raises Unauthorized when there are several."""
    shown = {value.strip() for value in headers.getlist("x-api-key")}
    for value in headers.getlist("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(f"Authorization {scheme[:20]!r} is not known here: send Bearer <token>.")
        shown.add(rest.strip())
    if len(shown) > 1:
        raise Unauthorized("Several different credentials were sent: send one.")
    found = next(iter(shown), "")
    if shown and not 1 <= len(found) <= LONGEST_CREDENTIAL:
        raise Unauthorized(
            "The credential is empty or too long: log in (POST /auth/login) or send an API token."
        )
    return found


def ticket_of(scope: Scope) -> str:
    """The one-time ticket in a WebSocket's URL, or nothing."""
    if scope["type"] != "websocket":
        return ""
    query = scope.get("query_string", b"").decode("latin-1")
    return parse_qs(query, max_num_fields=50).get("ticket", [""])[0] if "ticket=" in query else ""


class Callers:
    """Finds out who calls. Asking for a credential is never done on the event loop."""

    def __init__(self, *, identify: Identify, redeem_ticket: Identify, trust_loopback: bool = True) -> None:
        self._identify, self._redeem, self._trust_loopback = identify, redeem_ticket, trust_loopback
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="callers")
        self._known: OrderedDict[bytes, Principal] = OrderedDict()

    def unproven(self, origin: Origin) -> Principal:
        """Whoever shows no credential."""
        found = LOCAL if origin.is_loopback and self._trust_loopback else ANONYMOUS
        return replace(found, address=origin.address, is_loopback=origin.is_loopback)

    async def of(self, scope: Scope, headers: Headers, origin: Origin) -> Principal:
        """Who it is. Raises Unauthorized for a credential that is not or no longer good."""
        credential = credential_of(headers)
        if credential:
            found = await self._ask(self._identify, credential)
            self._remember(credential, found)
        elif ticket := ticket_of(scope):
            found = await self._ask(self._redeem, ticket[:LONGEST_CREDENTIAL])
        else:
            return self.unproven(origin)
        return replace(found, address=origin.address, is_loopback=origin.is_loopback)

    async def for_estop(self, scope: Scope, headers: Headers, origin: Origin) -> Principal:
        """Who it is, as far as can be known at once: a slow or dead database must not delay an e-stop."""
        if origin.is_loopback:
            return self._at_the_machine(headers, origin)
        try:
            async with asyncio.timeout(ESTOP_PATIENCE_S):
                return await self.of(scope, headers, origin)
        except Unauthorized:
            raise
        except Exception:
            known = self._remembered(headers)
            if known is None:
                raise
            return replace(known, address=origin.address, is_loopback=False)

    def _at_the_machine(self, headers: Headers, origin: Origin) -> Principal:
        known = self._remembered(headers)
        return replace(known, address=origin.address, is_loopback=True) if known else self.unproven(origin)

    async def _ask(self, question: Identify, secret: str) -> Principal:
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, secret)

    def _remember(self, credential: str, found: Principal) -> None:
        self._known[_digest(credential)] = found
        self._known.move_to_end(_digest(credential))
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _remembered(self, headers: Headers) -> Principal | None:
        try:
            credential = credential_of(headers)
        except ArenaError:
            return None
        return self._known.get(_digest(credential)) if credential else None

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "replace")).digest()
