# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback that can hold everything back, or cut everybody off: a link that stalls or breaks."""

import asyncio
import contextlib
from urllib.parse import urlsplit


class StallingProxy:
    """Use it in an `async with`; `url` is the target's, by way of here."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._near: set[asyncio.StreamWriter] = set()
        self._tells_server = True
        self._cuts_after: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        """Of the proxy."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stall(self) -> None:
        """Pass nothing on, either way; connections stay open."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on again, also what waits."""
        self._flows.set()

    def cut(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def cut_after(self, *counts_bytes: int) -> None:
        """End every connection once the target has sent so many bytes, and again so many later.

        A `cut` by the receiver's clock can come when all of a small answer is under way already.
        """
        self._cuts_after = list(counts_bytes)

    def lose(self) -> None:
        """End every connection towards the clients; the server is not told, as when a cable is pulled."""
        self._tells_server = False
        for writer in self._near:
            writer.transport.abort()
        self._near.clear()

    async def __aenter__(self) -> "StallingProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self._near.add(writer)
        await self._flows.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, sink, is_answer in ((reader, far_writer, False), (far_reader, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, is_answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._flows.wait()
                if is_answer and self._cuts_after:
                    self._cuts_after[0] -= len(data)
                    if (behind := self._cuts_after[0]) <= 0:
                        del self._cuts_after[0]
                        await self._cut_behind(data[: len(data) + behind], sink)
                        return
                sink.write(data)
                await sink.drain()
        if self._tells_server or sink in self._near:
            sink.close()

    async def _cut_behind(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        """These bytes leave before the cut: an abort drops what still waits in this process."""
        sink.transport.set_write_buffer_limits(high=0)
        sink.write(data)
        await sink.drain()
        self.cut()
