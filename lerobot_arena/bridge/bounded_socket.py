# SPDX-License-Identifier: Apache-2.0
"""uvicorn's WebSocket (its sansio one) with an end to everything that a peer could make grow or keep.

A peer that reads nothing holds back `WRITE_HIGH` bytes here and `UNSENT` in the kernel, so that what a slow consumer
gets is recent; one that does not answer pings, or does not take its close, is cut off and not waited for.
"""

import asyncio
import contextlib
import socket
from asyncio import BaseTransport
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

MAX_MESSAGE = 1_048_576
WRITE_HIGH, WRITE_LOW = 16_384, 4_096
UNSENT = 16_384
READ_AT_ONCE = 16_384
PING_S, PONG_S = 5.0, 10.0
# A message in more pieces than this is a trick: each costs memory, also an empty one.
MAX_PIECES = 1_024
# Pings that arrive while the peer reads none of the pongs.
_PONGS_HIGH = 65_536
_FAREWELL_S = 3.0
# Linux's TCP_NOTSENT_LOWAT; Python has no name for it before 3.13.
_NOTSENT_LOWAT = 25


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection; `uvicorn.Config(ws=BoundedWebSocket)`."""

    transport: asyncio.Transport

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        bound_transport(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.transport.get_write_buffer_size() > _PONGS_HIGH:
            self.transport.abort()
            return
        super().data_received(data)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_PIECES:
            self.conn.fail(1009, "too many pieces")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self._cut_off()
            return
        super().handle_cont(event)

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:
            # Frames before the handshake was answered: no client does that by accident.
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1002, "reason": "too early"})
            self.close_sent = True
            self._cut_off()
            return
        super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_off()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        # close() waits for a full buffer to be taken, for ever if need be.
        if not self.disconnected:
            self.loop.call_later(_FAREWELL_S, self._cut_off)

    def _cut_off(self) -> None:
        if not self.disconnected:
            self.transport.abort()


def bound_transport(transport: asyncio.Transport) -> None:
    """Little may wait on the way to the peer, and little is read at once."""
    transport.set_write_buffer_limits(WRITE_HIGH, WRITE_LOW)
    # asyncio's own selector transport reads 256 KiB at once: thousands of small frames in one go, while nobody else
    # gets a turn.
    loosely: Any = transport
    if hasattr(loosely, "max_size"):
        loosely.max_size = READ_AT_ONCE
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in {socket.AF_INET, socket.AF_INET6}:
        with contextlib.suppress(OSError):
            # asyncio does it only for sockets that were made with IPPROTO_TCP; else a second message waits 40 ms.
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT)
