# SPDX-License-Identifier: Apache-2.0
"""Blocking work behind a bounded queue and threads of its own, so that a flood of it holds up nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lerobot_arena.core.errors import TooMany


class Desk:
    """One kind of work. Close it at the end."""

    def __init__(self, name: str, *, threads: int = 4, most_waiting: int = 64) -> None:
        self._name, self._most_waiting = name, most_waiting
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting = 0

    async def ask[T](self, call: Callable[[], T]) -> T:
        """What `call` returns or raises. Raises TooMany when too many wait already."""
        if self._waiting >= self._most_waiting:
            raise TooMany(f"Too many requests about {self._name} wait at once. Try again in a moment.", 5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads; what waits is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
