# SPDX-License-Identifier: Apache-2.0
"""Writes later, in batches, in a thread of its own: whoever adds something never waits for a disk."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from lerobot_arena.core.errors import Unavailable

_log = logging.getLogger(__name__)

_RETRY_S = 1.0


class Batcher[T]:
    """A bounded queue in front of `write`. What finds it full is dropped, counted and said once.

    A write that raises Unavailable is tried again; any other error drops the batch.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        what: str,
        *,
        most_waiting: int = 10_000,
        every_s: float = 0.25,
    ) -> None:
        self._write, self._what = write, what
        self._most, self._every_s = most_waiting, every_s
        self._wake = threading.Condition()
        self._waiting: list[T] = []
        self._is_writing = self._is_closed = self._is_hurried = self._is_failing = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """How many were lost since the start."""

    def add(self, item: T) -> bool:
        """Have it written soon; False when it was dropped."""
        with self._wake:
            if self._is_closed or len(self._waiting) >= self._most:
                self._drop(1, "the queue is full")
                return False
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"writes {self._what}", daemon=True)
                self._thread.start()
            self._wake.notify_all()
            return True

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was added is written or dropped; False when that took too long."""
        with self._wake:
            self._is_hurried = True
            self._wake.notify_all()
            done = self._wake.wait_for(lambda: not self._waiting and not self._is_writing, timeout_s)
            self._is_hurried = False
            return done

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, and end; what cannot be written in time is lost."""
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        with self._wake:
            if self._waiting:
                self._drop(len(self._waiting), "it could not be written before the end")
                self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed and not self._waiting:
                    return
                # What comes within a moment is one transaction.
                self._wake.wait_for(lambda: self._is_closed or self._is_hurried, self._every_s)
                batch, self._waiting = self._waiting, []
                self._is_writing = True
            again = self._try(batch)
            with self._wake:
                self._is_writing = False
                if again:
                    self._waiting[:0] = batch
                self._wake.notify_all()
                if again and self._wake.wait_for(lambda: self._is_closed, _RETRY_S):
                    return

    def _try(self, batch: Sequence[T]) -> bool:
        """Write; True when it should be tried again."""
        try:
            self._write(batch)
        except Unavailable as error:
            if not self._is_failing:
                _log.error("%s waits: %s", self._what.capitalize(), error)
            self._is_failing = True
            return True
        except Exception:
            with self._wake:
                self._drop(len(batch), "it could not be written")
            _log.exception("%s could not be written", self._what.capitalize())
        self._is_failing = False
        return False

    def _drop(self, count: int, reason: str) -> None:
        if self.dropped == 0 or time.monotonic() - self._said_at > 60.0:
            self._said_at = time.monotonic()
            _log.error(
                "%s lost %d, %d so far: %s", self._what.capitalize(), count, self.dropped + count, reason
            )
        self.dropped += count

    _said_at = 0.0
