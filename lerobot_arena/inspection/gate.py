# SPDX-License-Identifier: Apache-2.0
"""The TCP port that clients connect to: looks at who comes (door.py), then passes bytes between them and the server.

foxglove-sdk cannot refuse a connection, so it listens on an address of 127.0.0.0/8 that nobody is told, and this
thread stands before it. A client that does not read stops its own pump only, and is let go when that lasts.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Collection, Iterator

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.inspection.door import refusal

_LONGEST_HEAD = 16_384
_PATIENCE_S = 5.0
# foxglove-sdk 0.30 advertises a channel a moment before it takes subscriptions to it ("Unknown channel ID").
_GREETING_S, _HELD_S = 0.05, 0.001
_BLOCK = 1 << 18
# Bounds what a slow client has before it that is older than what the server would still drop.
_SOCKET_BUFFER = 1 << 19


class Gate:
    """Listens from construction on. Raises Unavailable when the port is taken."""

    def __init__(
        self,
        address: tuple[str, int],
        inner: tuple[str, int],
        *,
        origins: Collection[str],
        max_clients: int,
        stall_s: float,
        on_refusal: Callable[[str], None],
    ) -> None:
        self._inner, self._origins, self._max_clients = inner, origins, max_clients
        self._stall_s, self._on_refusal = stall_s, on_refusal
        self._listener = _listen(address)
        self._visits: set[asyncio.Task[None]] = set()
        self._is_held = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foxglove-gate", daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What the server sends meanwhile reaches nobody before the end of the block; for offering topics."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    def close(self) -> None:
        """Let nobody in any more, and everybody go."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(timeout=_PATIENCE_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        with self._listener:
            accepting = asyncio.create_task(self._accept())
            self._started.set()
            await self._ending.wait()
            for task in (accepting, *self._visits):
                task.cancel()
            await asyncio.gather(accepting, *self._visits, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            visit = asyncio.create_task(self._visit(client))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)

    async def _visit(self, client: socket.socket) -> None:
        client.setblocking(False)
        with client, contextlib.suppress(OSError, TimeoutError):
            _tune(client)
            async with asyncio.timeout(_PATIENCE_S):
                head = await self._head(client)
                why = self._refusal(head)
                if why:
                    self._on_refusal(why)
                    return await self._loop.sock_sendall(client, _forbidden(why))
            with socket.socket(_family(self._inner[0])) as server:
                server.setblocking(False)
                _tune(server)
                await self._loop.sock_connect(server, self._inner)
                await self._loop.sock_sendall(server, head)
                await asyncio.sleep(_GREETING_S)
                await self._splice(client, server)

    def _refusal(self, head: bytes) -> str:
        if b"\r\n\r\n" not in head:
            return "This is a WebSocket server for Foxglove."
        if len(self._visits) > self._max_clients:
            return f"{self._max_clients} clients are connected already (parameter max_clients)."
        return refusal(head.partition(b"\r\n\r\n")[0], self._origins)

    async def _head(self, client: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
            part = await self._loop.sock_recv(client, 4096)
            if not part:
                break
            head += part
        return head

    async def _splice(self, client: socket.socket, server: socket.socket) -> None:
        pumps = [
            asyncio.create_task(self._pump(client, server)),
            asyncio.create_task(self._pump(server, client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        block = memoryview(bytearray(_BLOCK))
        while size := await self._loop.sock_recv_into(source, block):
            while self._is_held:  # noqa: ASYNC110 - another thread says so, for less than a millisecond
                await asyncio.sleep(_HELD_S)
            try:
                async with asyncio.timeout(self._stall_s):
                    await self._loop.sock_sendall(sink, block[:size])
            except TimeoutError:
                self._on_refusal(f"it took nothing for {self._stall_s:g} s (parameter stall_s).")
                return


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listen(address: tuple[str, int]) -> socket.socket:
    try:
        listener = socket.create_server(address, family=_family(address[0]))
    except OSError as error:
        raise Unavailable(
            f"Port {address[1]} of {address[0]} cannot be opened ({error.strerror}): end what uses it, or "
            "choose another one (parameter port, `arena up --foxglove-port`)."
        ) from error
    listener.setblocking(False)
    return listener


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, name, _SOCKET_BUFFER)


def _forbidden(why: str) -> bytes:
    body = why.encode("utf-8", "replace")
    return (
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
