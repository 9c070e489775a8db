# SPDX-License-Identifier: Apache-2.0
"""An event loop in a thread of its own, for programs that block."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

_STOP_S = 5.0


class LoopThread:
    """Runs coroutines for other threads. It ends with the program, or with `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="arena client", daemon=True)
        self._thread.start()

    def run[T](self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """The coroutine's value. Raises TimeoutError, and cancels it then."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("A callback may not call a method that blocks: it would wait for itself.")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except BaseException:
            # Also when Ctrl-C ended the wait.
            future.cancel()
            raise

    def tell(self, do: Callable[..., object], *args: Any) -> None:
        """Call something on the loop soon, without waiting."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(do, *args)

    def iterate[T](self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items, waited for one by one."""
        end = object()

        async def following() -> Any:
            return await anext(items, end)

        async def closed() -> None:
            closing: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
            end_s = self._loop.time() + _STOP_S / 2
            while closing is not None:
                try:
                    await closing()
                    return
                except RuntimeError:
                    # A wait that Ctrl-C ended is still being cancelled.
                    if self._loop.time() > end_s:
                        raise
                    await asyncio.sleep(0.02)

        try:
            while (item := self.run(following())) is not end:
                yield item
        finally:
            if self._thread.is_alive():
                self.run(closed(), _STOP_S)

    def close(self) -> None:
        """Cancel what runs, and end the thread."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self.tell(self._loop.stop)
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
