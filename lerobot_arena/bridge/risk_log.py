# SPDX-License-Identifier: Apache-2.0
"""Watches every cycle go by, and writes the notable ones in batches. Cheap where cycles arrive, slow work elsewhere."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.bridge.feed import CycleItem
from lerobot_arena.bridge.risk_event import News, risk_event
from lerobot_arena.bridge.risk_store import RiskStore
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.verdict import Decision

_log = logging.getLogger(__name__)

WRITE_EVERY_S = 0.25
_MOST_WAITING = 5000
_PRUNE_EVERY = 500
_DAY_S = 86_400.0

# (decision, risk) of a cycle as it came over the wire
Glance = Callable[[Any], tuple[int, int]]


class RiskLog:
    """Keeps cycles that were changed or refused, and those whose risk differs from the cycle's before, as far as they
    are News.
    """

    def __init__(
        self, store: RiskStore, glance: Glance, clock: Clock, *, max_events: int, max_age_days: float
    ) -> None:
        self._store, self._glance, self._clock = store, glance, clock
        self._max_events, self._max_age_s = max_events, max_age_days * _DAY_S
        self._lock = threading.Lock()
        self._waiting: deque[CycleItem] = deque()
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
            if batch:
                await asyncio.shield(asyncio.to_thread(self._write, batch))

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
            self._since_prune += len(events)
            if self._since_prune >= _PRUNE_EVERY:
                self._since_prune = 0
                oldest = self._clock.wall_ns() / 1e9 - self._max_age_s
                self._store.prune(max_events=self._max_events, oldest=oldest)
        except SQLAlchemyError as error:
            self.dropped += len(events)
            _log.error("The risk log lost %d events, %d so far: %s", len(events), self.dropped, error)
