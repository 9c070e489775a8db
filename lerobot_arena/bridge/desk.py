# SPDX-License-Identifier: Apache-2.0
"""Blocking work behind a bounded queue and threads of its own, so that a flood of it holds up nothing else."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from lerobot_arena.core.errors import TooMany


class Desk:
    """One kind of work. Close it at the end."""

    def __init__(
        self, name: str, *, threads: int = 4, most_waiting: int = 64, most_each: int | None = None
    ) -> None:
        """With `most_each`, no account has more than so many requests here at once."""
        self._name, self._most_waiting, self._most_each = name, most_waiting, most_each
        self._of_account: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting = 0

    async def ask[T](self, call: Callable[[], T], *, account: str | None = None) -> T:
        """What `call` returns or raises. Raises TooMany when too many wait already, or too many of this account."""
        if self._waiting >= self._most_waiting:
            raise TooMany(f"Too many requests about {self._name} wait at once. Try again in a moment.", 5.0)
        with self._counted(account):
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    @contextlib.contextmanager
    def _counted(self, account: str | None) -> Iterator[None]:
        of_account = self._of_account[account] if account is not None else 0
        if self._most_each is not None and of_account >= self._most_each:
            raise TooMany(
                f"{account} has {of_account} requests about {self._name} under way; wait for one of them.",
                5.0,
            )
        counted = Counter([account] if account is not None else [])
        self._waiting += 1
        self._of_account += counted
        try:
            yield
        finally:
            self._waiting -= 1
            self._of_account -= counted

    def close(self) -> None:
        """End the threads; what waits is given up."""
        self._threads.shutdown(wait=False, cancel_futures=True)
