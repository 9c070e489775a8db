# SPDX-License-Identifier: Apache-2.0
"""Who a request comes from: the peer's address, whether that is this machine, and the credential it shows."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from lerobot_arena.core.addresses import is_loopback, plain_address
from lerobot_arena.core.errors import ArenaError, Unauthorized, Unavailable
from lerobot_arena.core.principal import ANONYMOUS, LOCAL, Principal

Identify = Callable[[str], Principal]
"""From a credential to its owner, blocking. Raises Unauthorized; Unavailable when the database is away."""

Recall = Callable[[str], Principal | None]
"""From a credential to who it is or was a while ago; never waits."""

_log = logging.getLogger(__name__)

PATIENCE_S = 5.0
ESTOP_PATIENCE_S = 0.25
LONGEST_CREDENTIAL = 4096
_PROXY_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from, before anybody asked for its credential."""

    address: str
    is_loopback: bool


def origin_of(scope: Scope, headers: Headers, *, behind_proxy: bool) -> Origin:
    """The peer, or behind a proxy whom that proxy saw last. Nothing that passed a proxy is loopback.

    A proxy that adds no header gives itself away by HTTP/1.0, or by a Host that is not this machine's own.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    forwarded = [part.strip() for line in headers.getlist("x-forwarded-for") for part in line.split(",")]
    if behind_proxy:
        return Origin(plain_address(forwarded[-1]) if forwarded else address, False)
    is_proxied = (
        any(name in _PROXY_HEADERS or name.startswith("x-forwarded-") for name in headers)
        or scope.get("http_version") == "1.0"
        or not all(_is_own_name(host) for host in headers.getlist("host"))
    )
    return Origin(plain_address(address), is_loopback(address) and not is_proxied)


def _is_own_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback(name)


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

    def __init__(
        self,
        *,
        identify: Identify,
        known: Recall,
        recall: Recall,
        redeem_ticket: Identify,
        trust_loopback: bool = True,
    ) -> None:
        """`known` is about the last seconds only; `recall` goes back further, as far as it goes without a database."""
        self._identify, self._known, self._recall, self._redeem = identify, known, recall, redeem_ticket
        self._trust_loopback = trust_loopback
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="callers")

    def unproven(self, origin: Origin) -> Principal:
        """Whoever shows no credential."""
        return _at(LOCAL if origin.is_loopback and self._trust_loopback else ANONYMOUS, origin)

    async def of(self, scope: Scope, headers: Headers, origin: Origin) -> Principal:
        """Who it is. Raises Unauthorized for a credential that is not or no longer good, else Unavailable."""
        return await self._of(scope, headers, origin, PATIENCE_S)

    async def for_estop(self, scope: Scope, headers: Headers, origin: Origin) -> Principal:
        """Who it is, as far as can be known at once: a slow or dead database must not keep anybody from an e-stop."""
        if (known := self._remembered(self._known, headers)) is not None:
            return _at(known, origin)
        if origin.is_loopback:
            return self.unproven(origin)
        try:
            return await self._of(scope, headers, origin, ESTOP_PATIENCE_S)
        except Unavailable:
            if (recalled := self.recalled(headers)) is None:
                raise
            return _at(recalled, origin)

    async def _of(self, scope: Scope, headers: Headers, origin: Origin, patience_s: float) -> Principal:
        if credential := credential_of(headers):
            return _at(await self._ask(self._identify, credential, patience_s), origin)
        if ticket := ticket_of(scope):
            return _at(await self._ask(self._redeem, ticket[:LONGEST_CREDENTIAL], patience_s), origin)
        return self.unproven(origin)

    async def _ask(self, question: Identify, secret: str, patience_s: float) -> Principal:
        answer = asyncio.get_running_loop().run_in_executor(self._threads, question, secret)
        try:
            async with asyncio.timeout(patience_s):
                return await answer
        except ArenaError:
            raise
        except Exception as error:
            _log.warning("A credential could not be checked: %r", error)
            raise Unavailable("Accounts cannot be looked up right now. Try again in a moment.") from error

    def recalled(self, headers: Headers) -> Principal | None:
        """Who the credential is or was a while ago, without asking anybody: none that was merely guessed."""
        return self._remembered(self._recall, headers)

    def _remembered(self, memory: Recall, headers: Headers) -> Principal | None:
        try:
            credential = credential_of(headers)
        except Unauthorized:
            return None
        return memory(credential) if credential else None

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _at(who: Principal, origin: Origin) -> Principal:
    return replace(who, address=origin.address, is_loopback=origin.is_loopback)
