# SPDX-License-Identifier: Apache-2.0
"""The bounded queue between the ROS thread and the writer thread, and what gives way when it is full.

Drop order: PASS cycles and what belongs to them, then images, then the rest, violations last; within a rank the oldest.
Every operation is O(1).
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Rank(IntEnum):
    """What gives way first."""

    PASS = 0
    IMAGE = 1
    PLAIN = 2
    VIOLATION = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """A recorded topic; `name` is the one in the file."""

    name: str
    type_name: str
    qos: str = ""


@dataclass(slots=True)
class Item:
    """One message as it came. `log_ns` is wall time that never runs backwards within a recording."""

    topic: Topic
    data: bytes
    log_ns: int
    rank: Rank
    order: int = 0


class BoundedQueue:
    """Any thread puts, one thread takes in order of arrival. Bounded in bytes and messages."""

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes, self._max_messages = max_bytes, max_messages
        self._lanes: tuple[deque[Item], ...] = tuple(deque() for _ in Rank)
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._next = 0
        self._count = self._bytes = 0
        self.dropped: Counter[str] = Counter()
        self.deepest = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes_held(self) -> int:
        """Bytes of all messages held."""
        return self._bytes

    def put(self, item: Item) -> bool:
        """Add; when full, drop the oldest of the lowest rank up to the item's own, else the item itself."""
        with self._lock:
            while self._count and self._is_full_for(item):
                lane = next((lane for lane in self._lanes[: item.rank + 1] if lane), None)
                if lane is None:
                    self.dropped[item.topic.name] += 1
                    return False
                self.dropped[self._remove(lane).topic.name] += 1
            item.order = self._next
            self._next += 1
            self._lanes[item.rank].append(item)
            self._count += 1
            self._bytes += len(item.data)
            self.deepest = max(self.deepest, self._count)
        self._arrived.set()
        return True

    def _is_full_for(self, item: Item) -> bool:
        return self._count >= self._max_messages or self._bytes + len(item.data) > self._max_bytes

    def _remove(self, lane: deque[Item]) -> Item:
        item = lane.popleft()
        self._count -= 1
        self._bytes -= len(item.data)
        return item

    def take(self) -> Item | None:
        """The oldest message, or None."""
        with self._lock:
            lanes = [lane for lane in self._lanes if lane]
            if not lanes:
                self._arrived.clear()
                return None
            return self._remove(min(lanes, key=lambda lane: lane[0].order))

    def wait(self, timeout_s: float) -> None:
        """Return when something is held or wanted, at the latest after `timeout_s`."""
        self._arrived.wait(timeout_s)

    def nudge(self) -> None:
        """Wake the waiting thread."""
        self._arrived.set()

    def promote(self, belongs: Callable[[Item], bool]) -> None:
        """Make the newest messages of rank PASS violations, backwards for as long as they `belong` to one."""
        with self._lock:
            lane, kept = self._lanes[Rank.PASS], self._lanes[Rank.VIOLATION]
            moved: list[Item] = []
            while lane and belongs(lane[-1]):
                moved.append(lane.pop())
            oldest = moved[-1].order if moved else self._next
            while kept and kept[-1].order > oldest:
                moved.append(kept.pop())
            for item in sorted(moved, key=lambda item: item.order):
                item.rank = Rank.VIOLATION
                kept.append(item)
