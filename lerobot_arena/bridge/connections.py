# SPDX-License-Identifier: Apache-2.0
"""TCP connections that ask for nothing cost nothing: a deadline for a request's head, and a bound per address.

uvicorn waits for ever for a head that trickles in, and for a first byte; its only timer runs between requests.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

from lerobot_arena.core.addresses import is_loopback, network_of

_log = logging.getLogger(__name__)

HEAD_S = 10.0
"""How long a request's head may take, from the connection or from the end of the request before."""
MOST_PER_NETWORK = 100
MOST_FOREIGN = 500
_FILES = 8192


class Visitor(Protocol):
    """One connection, as the door sees it."""

    def is_idle(self) -> bool:
        """It has asked for nothing yet, or nothing more."""

    def send_away(self) -> None:
        """End it at once; it counts no more."""


class Door:
    """Counts connections of other machines that are not WebSockets. This machine is never turned away.

    When it is full, the oldest one that asks for nothing makes room: silence must not keep an e-stop out.
    """

    def __init__(self, *, behind_proxy: bool, head_s: float = HEAD_S) -> None:
        self.head_s = head_s
        self._behind_proxy = behind_proxy
        self._open: Counter[str] = Counter()
        # In the order of their coming.
        self._inside: dict[Visitor, str] = {}

    @property
    def count(self) -> int:
        """How many are inside."""
        return len(self._inside)

    def enter(self, address: str, visitor: Visitor) -> bool:
        """Let a connection in, and count it; False when there is no place for it."""
        if self._behind_proxy or is_loopback(address):
            return True
        network = network_of(address)
        if self._open[network] >= MOST_PER_NETWORK:
            self._make_room([network])
        elif self.count >= MOST_FOREIGN:
            self._make_room([name for name, _ in self._open.most_common()])
        if self._open[network] >= MOST_PER_NETWORK or self.count >= MOST_FOREIGN:
            return False
        self._open[network] += 1
        self._inside[visitor] = network
        return True

    def leave(self, visitor: Visitor) -> None:
        """A connection ended or became a WebSocket; said once or often."""
        network = self._inside.pop(visitor, None)
        if network is not None:
            self._open[network] -= 1
            if self._open[network] <= 0:
                del self._open[network]

    def _make_room(self, networks: Iterable[str]) -> None:
        """Send one idle visitor away, of the first of these networks that has any."""
        for network in networks:
            for visitor, theirs in self._inside.items():
                if theirs == network and visitor.is_idle():
                    self.leave(visitor)
                    visitor.send_away()
                    return


def protocol_with(door: Door) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with a door. h11: it bounds a head at 64 KiB, which httptools does not."""

    class Bounded(_Bounded):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.door = door

    return Bounded


class _Bounded(H11Protocol):
    door: Door
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self.door.enter(self.client[0] if self.client else "", self):
            _log.warning("Too many connections of %s: one more was closed.", self.client)
            transport.abort()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.is_idle():
            self._stop_expecting()
        elif self._deadline is None and not self.transport.is_closing():
            self._expect_head()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._stop_expecting()
        self.door.leave(self)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        self.door.leave(self)
        super().connection_lost(exc)

    def is_idle(self) -> bool:
        """No request's head is here that is not answered yet; nor is the connection a WebSocket's by now."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not is_answering and self.transport.get_protocol() is self

    def send_away(self) -> None:
        """End the connection for one that may ask for something."""
        self._stop_expecting()
        self.transport.abort()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self.door.head_s, self._give_up)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.is_idle():
            self.transport.abort()


def lift_file_limit() -> None:
    """Let this process have as many sockets as it may: a usual soft limit of 1024 ends before the bounds above do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
