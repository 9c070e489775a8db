# SPDX-License-Identifier: Apache-2.0
"""What waits for one participant. Filled without ever waiting, emptied at the participant's own speed. Pure.

Joint state and pictures: only the newest, partial joint updates merged by name so that none is lost. Events: all, in
order, in a queue with an end, counted and in bytes: one that overflows closes the connection, and nothing is ever left
out silently. An e-stop goes before everything.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lerobot_arena.rooms import messages
from lerobot_arena.rooms.refusals import Close

MAX_EVENTS = 256
MAX_URGENT = 16
# In memory, of one participant. A message that finds nothing waiting is taken at any size.
MAX_EVENT_BYTES = 1_000_000
# Waited less than this, an update goes out as it was serialised for everybody.
_AS_NEW_NS = 2_000_000


@dataclass(frozen=True, slots=True)
class JointNews:
    """One accepted update: `entries` by joint name as they go out; `born_ns` is when they were true, on our clock."""

    entries: Mapping[str, Mapping[str, Any]]
    seq: int
    source: str
    unit: str
    born_ns: int
    sent_ns: int
    stamp_mono_ns: int | None = None
    estop_latched: bool = False
    text: str = ""

    def encoded(self, now_ns: int, *, merged: int = 1) -> str:
        """The message as of `now_ns`; `merged` says how many updates it stands for."""
        fields: dict[str, Any] = {
            "type": "joint_update",
            "data": list(self.entries.values()),
            "timestamp": messages.now_text(),
            "source": self.source,
            "seq": self.seq,
            "age_ms": round((now_ns - self.born_ns) / 1e6, 3),
            "unit": self.unit,
            "estop_latched": self.estop_latched,
            "sent_mono_ns": now_ns,
        }
        if self.stamp_mono_ns is not None:
            fields["stamp_mono_ns"] = self.stamp_mono_ns
        if merged > 1:
            fields["merged"] = merged
        return messages.encode(fields)


@dataclass(frozen=True, slots=True)
class Closing:
    """The last thing a participant gets."""

    code: int
    reason: str


Parcel = str | bytes | Closing


class Mailbox:
    """`put_…` from anywhere on the loop; `take` by the one task that writes the socket."""

    def __init__(self, steady_ns: Callable[[], int], *, max_events: int = MAX_EVENTS) -> None:
        self._steady_ns, self._max_events = steady_ns, max_events
        self._urgent: deque[str] = deque()
        self._events: deque[str] = deque()
        self._event_bytes = 0
        self._errors: dict[str, tuple[dict[str, Any], int]] = {}
        self._news: JointNews | None = None
        self._born: dict[str, int] = {}
        self._merged = 0
        self._frame: bytes | None = None
        self._closing: Closing | None = None
        self._filled = asyncio.Event()
        self._closed = asyncio.Event()
        self.merged_total = 0
        self.frames_dropped = 0
        self.overflowed = False

    @property
    def is_closing(self) -> bool:
        """It takes nothing more."""
        return self._closing is not None

    @property
    def waiting(self) -> int:
        """Events and errors that wait."""
        return len(self._urgent) + len(self._events) + len(self._errors)

    def put_urgent(self, text: str) -> None:
        """An e-stop: before all that waits."""
        self._put_bounded(self._urgent, text, MAX_URGENT)

    def put_event(self, text: str) -> None:
        """In order, never left out."""
        self._put_bounded(self._events, text, self._max_events)

    def _put_bounded(self, queue: deque[str], text: str, most: int) -> None:
        if self._closing is not None:
            return
        size = sys.getsizeof(text)
        if len(queue) >= most or (queue and self._event_bytes + size > MAX_EVENT_BYTES):
            self.overflowed = True
            self.close(Close.TOO_SLOW, "too slow: events were not read", at_once=True)
            return
        queue.append(text)
        self._event_bytes += size
        self._filled.set()

    def put_error(self, code: str, message: str, **more: Any) -> None:
        """A refusal of what this participant said; unread ones of one code become one, with their `count`."""
        if self._closing is not None:
            return
        count = self._errors[code][1] + 1 if code in self._errors else 1
        self._errors[code] = ({"message": message, "code": code, **more}, count)
        self._filled.set()

    def put_joints(self, news: JointNews) -> None:
        """The newest values; joints it does not name keep what waits."""
        if self._closing is not None:
            return
        waiting = self._news
        if waiting is None:
            self._news, self._merged = news, 1
        else:
            if not self._born:
                self._born = dict.fromkeys(waiting.entries, waiting.born_ns)
            self._born.update(dict.fromkeys(news.entries, news.born_ns))
            self._news = _merged(waiting, news)
            self._merged += 1
            self.merged_total += 1
        self._filled.set()

    def drop_joints(self) -> None:
        """What waits is true no longer: an e-stop, or another producer."""
        self._news, self._born, self._merged = None, {}, 0

    def put_frame(self, frame: bytes) -> None:
        """Replace the waiting picture."""
        if self._closing is not None:
            return
        self.frames_dropped += self._frame is not None
        self._frame = frame
        self._filled.set()

    def close(self, code: int, reason: str, *, at_once: bool = False) -> None:
        """After the events that wait, or instead of them. The first reason stands."""
        if self._closing is not None:
            return
        self._closing = Closing(code, reason)
        self.drop_joints()
        self._frame = None
        if at_once:
            self._urgent.clear()
            self._events.clear()
            self._errors.clear()
            self._event_bytes = 0
        self._closed.set()
        self._filled.set()

    async def closed(self) -> None:
        """Waits until somebody closed it."""
        await self._closed.wait()

    def take_now(self) -> Parcel | None:
        """What goes out next, or None when nothing waits. A closing stays the last answer."""
        if queue := self._urgent or self._events:
            text = queue.popleft()
            self._event_bytes -= sys.getsizeof(text)
            return text
        if self._errors:
            fields, count = self._errors.pop(next(iter(self._errors)))
            return messages.say("error", **fields, **({"count": count} if count > 1 else {}))
        if self._closing is not None:
            return self._closing
        if self._news is not None:
            return self._take_joints(self._news)
        if self._frame is not None:
            frame, self._frame = self._frame, None
            return frame
        return None

    def _take_joints(self, news: JointNews) -> str:
        now_ns, merged = self._steady_ns(), self._merged
        oldest_ns = min(self._born.values(), default=news.born_ns)
        self.drop_joints()
        if merged == 1 and news.text and now_ns - news.sent_ns < _AS_NEW_NS:
            return news.text
        aged = replace(news, born_ns=oldest_ns)
        return aged.encoded(now_ns, merged=merged)

    async def take(self) -> Parcel:
        """What goes out next; waits until there is something."""
        while (parcel := self.take_now()) is None:
            self._filled.clear()
            await self._filled.wait()
        return parcel


def _merged(before: JointNews, news: JointNews) -> JointNews:
    return replace(news, entries={**before.entries, **news.entries}, text="")


def with_text(news: JointNews) -> JointNews:
    """The same with its text, serialised once for everybody."""
    return replace(news, text=news.encoded(news.sent_ns))
