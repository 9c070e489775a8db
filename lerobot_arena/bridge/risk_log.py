# SPDX-License-Identifier: Apache-2.0
"""Watches cycles and recorders, and writes what is notable in batches. Cheap where it arrives, slow work elsewhere."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.bridge.feed import CycleItem
from lerobot_arena.bridge.recorder_event import RecorderNews, recorder_news
from lerobot_arena.bridge.risk_event import News, risk_event
from lerobot_arena.bridge.risk_store import RiskStore
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.verdict import Decision

_log = logging.getLogger(__name__)

WRITE_EVERY_S = 0.25
_MOST_WAITING = 5000
_MOST_RECORDERS = 64
_PRUNE_EVERY = 500
_DAY_S = 86_400.0

# (decision, risk) of a cycle as it came over the wire
Glance = Callable[[Any], tuple[int, int]]


class RiskLog:
    """Keeps cycles that were changed or refused, and those whose risk differs from the cycle's before, as far as they
    are News; and every event of a recorder, once.
    """

    def __init__(
        self, store: RiskStore, glance: Glance, clock: Clock, *, max_events: int, max_age_days: float
    ) -> None:
        self._store, self._glance, self._clock = store, glance, clock
        self._max_events, self._max_age_s = max_events, max_age_days * _DAY_S
        self._lock = threading.Lock()
        self._waiting: deque[CycleItem] = deque()
        self._recorders: dict[str, RecorderNews] = {}
        self._marks: dict[str, int] = {}
        self._is_failing = False
        self._risk: dict[str, int] = {}
        self._news = News()
        self._since_prune = _PRUNE_EVERY
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Notable cycles that could not be kept."""

    def note(self, item: CycleItem) -> None:
        """A cycle arrived; called on any thread."""
        decision, risk = self._glance(item.raw)
        with self._lock:
            before = self._risk.get(item.arm, int(RiskLevel.NORMAL))
            self._risk[item.arm] = risk
            if decision <= Decision.PASS and risk == before:
                return
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)

    def note_recorder(self, arm: str, text: str) -> None:
        """A recorder's status arrived; called on any thread. It repeats its latest events each time."""
        try:
            news = recorder_news(arm, text)
        except ValueError as error:
            _log.warning("The recorder status of arm %s could not be read: %s", arm, error)
            return
        fresh = news.after(self._marks.get(news.boot_id, 0))
        with self._lock:
            if fresh.events and (news.boot_id in self._recorders or len(self._recorders) < _MOST_RECORDERS):
                self._recorders[news.boot_id] = fresh

    def start(self) -> None:
        """Write from now on."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    async def flush(self) -> None:
        """Write what waits now."""
        async with self._writing:
            with self._lock:
                batch = list(self._waiting)
                self._waiting.clear()
                recorders = list(self._recorders.values())
            if batch:
                await asyncio.shield(asyncio.to_thread(self._write, batch))
            if recorders:
                await asyncio.shield(asyncio.to_thread(self._write_recorders, recorders))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.flush()

    def _write(self, batch: list[CycleItem]) -> None:
        events = []
        for item in batch:
            try:
                record = item.record
            except ValueError as error:
                self.dropped += 1
                _log.warning("A cycle of arm %s could not be read: %s", item.arm, error)
                continue
            if self._news.holds(item.arm, record):
                events.append(risk_event(record, item.arm))
        try:
            self._store.insert(events)
            self._prune_after(len(events))
        except SQLAlchemyError as error:
            self.dropped += len(events)
            _log.error("The risk log lost %d events, %d so far: %s", len(events), self.dropped, error)

    def _write_recorders(self, recorders: list[RecorderNews]) -> None:
        """What cannot be written now, on the full disk that it tells of perhaps, is tried again at the next flush."""
        try:
            for news in recorders:
                written = self._store.insert_news(news)
                self._marks[news.boot_id] = max(event.number for event in news.events)
                with self._lock:
                    if self._recorders.get(news.boot_id) is news:
                        del self._recorders[news.boot_id]
                self._prune_after(written)
            self._is_failing = False
        except SQLAlchemyError as error:
            if not self._is_failing:
                _log.error("Events of recorders wait until the risk log can be written: %s", error)
            self._is_failing = True

    def _prune_after(self, added: int) -> None:
        self._since_prune += added
        if self._since_prune >= _PRUNE_EVERY:
            self._since_prune = 0
            oldest = self._clock.wall_ns() / 1e9 - self._max_age_s
            self._store.prune(max_events=self._max_events, oldest=oldest)
