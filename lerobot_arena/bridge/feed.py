# SPDX-License-Identifier: Apache-2.0
"""Cycles of all arms on their way to watchers: a ring per arm, decoded only when somebody looks."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from lerobot_arena.core.cycle import CycleRecord

_log = logging.getLogger(__name__)

REPLAY = 50
KEPT = 1000


class CycleItem:
    """One cycle as it came; the record and the event's texts are made on first use and shared. Safe on any thread."""

    __slots__ = ("_decode", "_record", "_texts", "arm", "raw")

    def __init__(self, arm: str, raw: Any, decode: Callable[[Any], CycleRecord]) -> None:
        self.arm, self.raw = arm, raw
        self._decode = decode
        self._record: CycleRecord | None = None
        self._texts: dict[bool, str] = {}

    @property
    def record(self) -> CycleRecord:
        """Raises ValueError when it cannot be read."""
        record = self._record
        if record is None:
            self._record = record = self._decode(self.raw)
        return record

    def shed(self) -> None:
        """Keep only what came over the wire; the rest is made again when somebody asks."""
        self._record = None
        self._texts = {}

    def text(self, render: Callable[[CycleRecord, str, bool], str], *, with_perf: bool = False) -> str:
        """The event for clients, rendered once."""
        text = self._texts.get(with_perf)
        if text is None:
            self._texts[with_perf] = text = render(self.record, self.arm, with_perf)
        return text


Watcher = Callable[[CycleItem], None]


class CycleFeed:
    """`push` is cheap, on any thread; watchers are called on the event loop, taps on the thread that pushes."""

    def __init__(self, decode: Callable[[Any], CycleRecord]) -> None:
        self._decode = decode
        self._lock = threading.Lock()
        self._rings: dict[str, deque[CycleItem]] = {}
        self._watchers: dict[str, set[Watcher]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.taps: list[Watcher] = []
        """Called with every cycle, on the thread that pushes: they must be quick and must not raise."""

    def push(self, arm: str, raw: Any) -> None:
        """A cycle arrived."""
        item = CycleItem(arm, raw, self._decode)
        with self._lock:
            ring = self._rings.setdefault(arm, deque(maxlen=KEPT))
            ring.append(item)
            if len(ring) > REPLAY:
                # Decoded, a thousand cycles are tens of megabytes.
                ring[-REPLAY - 1].shed()
            watchers, loop = tuple(self._watchers.get(arm, ())), self._loop
        for tap in self.taps:
            tap(item)
        if watchers and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._deliver, item, watchers)

    def _deliver(self, item: CycleItem, watchers: tuple[Watcher, ...]) -> None:
        for watcher in watchers:
            if watcher in self._watchers.get(item.arm, ()):
                self._hand(item, watcher)

    @staticmethod
    def _hand(item: CycleItem, watcher: Watcher) -> None:
        try:
            watcher(item)
        except ValueError as error:
            _log.warning("A cycle of arm %s could not be read: %s", item.arm, error)

    @property
    def watcher_count(self) -> int:
        """How many clients watch any arm."""
        return sum(len(watchers) for watchers in self._watchers.values())

    def newest(self, arm: str, count: int) -> list[CycleItem]:
        """Up to `count` of the last KEPT cycles, oldest first."""
        with self._lock:
            return list(self._rings.get(arm, ()))[-count:]

    def watch(self, arm: str, watcher: Watcher) -> Callable[[], None]:
        """Replay the last REPLAY into `watcher`, then deliver each new cycle until the returned function is called."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            past = list(self._rings.get(arm, ()))[-REPLAY:]
            self._watchers.setdefault(arm, set()).add(watcher)
        for item in past:
            self._hand(item, watcher)

        def unwatch() -> None:
            with self._lock:
                self._watchers.get(arm, set()).discard(watcher)

        return unwatch

    def forget(self, arm: str) -> None:
        """Drop the ring of an arm that ended."""
        with self._lock:
            self._rings.pop(arm, None)
