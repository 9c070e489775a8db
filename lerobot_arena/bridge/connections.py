# SPDX-License-Identifier: Apache-2.0
"""TCP connections that ask for nothing cost nothing: a deadline for a request's head, and a bound per address.

uvicorn waits for ever for a head that trickles in, and for a first byte; its only timer runs between requests.
"""

import asyncio
import logging
import resource
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from lerobot_arena.bridge.callers import is_loopback, network_of

_log = logging.getLogger(__name__)

HEAD_S = 10.0
"""How long a request's head may take, from the connection or from the end of the request before."""
MOST_PER_NETWORK = 100
MOST_FOREIGN = 500
_FILES = 8192


class Door:
    """Counts connections of other machines that are not WebSockets. This machine is never turned away."""

    def __init__(self, *, behind_proxy: bool, head_s: float = HEAD_S) -> None:
        self.head_s = head_s
        self._behind_proxy = behind_proxy
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str | None:
        """The name under which a connection is counted; None when there is no place for it."""
        if self._behind_proxy or is_loopback(address):
            return ""
        network = network_of(address)
        if self._open[network] >= MOST_PER_NETWORK or self._open.total() >= MOST_FOREIGN:
            return None
        self._open[network] += 1
        return network

    def leave(self, network: str) -> None:
        """A counted connection ended."""
        if network:
            self._open[network] -= 1
            if self._open[network] <= 0:
                del self._open[network]


def protocol_with(door: Door) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with a door. h11: it bounds a head at 64 KiB, which httptools does not."""

    class Bounded(_Bounded):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.door = door

    return Bounded


class _Bounded(H11Protocol):
    door: Door
    _network: str | None = None
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._network = self.door.enter(self.client[0] if self.client else "")
        if self._network is None:
            _log.warning("Too many connections of %s: one more was closed.", self.client)
            transport.abort()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_asking():
            self._stop_expecting()
        elif self._deadline is None and not self.transport.is_closing():
            self._expect_head()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._stop_expecting()
        self._leave()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        self._leave()
        super().connection_lost(exc)

    def _is_asking(self) -> bool:
        """A request's head is here and its answer is not out yet; or the connection is a WebSocket's by now."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return is_answering or self.transport.get_protocol() is not self

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self.door.head_s, self._give_up)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._is_asking():
            self.transport.abort()

    def _leave(self) -> None:
        if self._network is not None:
            self.door.leave(self._network)
            self._network = None


def lift_file_limit() -> None:
    """Let this process have as many sockets as it may: a usual soft limit of 1024 ends before the bounds above do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
