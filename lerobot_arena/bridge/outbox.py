# SPDX-License-Identifier: Apache-2.0
"""What waits for one web client: bounded events, and of each camera only the newest frame, behind its cycle."""

import asyncio
from collections import deque
from dataclasses import dataclass

MAX_EVENTS = 500


@dataclass(frozen=True, slots=True)
class OutEvent:
    """A text; of a live cycle also its id, and then frames may follow it."""

    number: int
    text: str
    cycle_id: int | None = None


class Outbox:
    """Filled without ever waiting, emptied at the client's own speed; so a stuck client harms nobody.

    A frame waits for the next live cycle and goes out right behind it; while it waits, a newer one replaces it.
    """

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._events: deque[OutEvent] = deque()
        self._max_events = max_events
        self._number = 0
        self._fresh: dict[str, bytes] = {}
        self._behind: dict[str, tuple[int, bytes]] = {}
        self._filled = asyncio.Event()
        self._told = 0
        self.events_dropped = 0
        self.frames_dropped = 0

    def put_event(self, text: str, *, cycle_id: int | None = None) -> None:
        """Queue an event; a full queue loses its oldest, counted. With `cycle_id` the waiting frames follow it."""
        if len(self._events) >= self._max_events:
            self._drop_oldest()
        self._number += 1
        self._events.append(OutEvent(self._number, text, cycle_id))
        if cycle_id is not None:
            for camera, jpeg in self._fresh.items():
                self.frames_dropped += camera in self._behind
                self._behind[camera] = (self._number, jpeg)
            self._fresh.clear()
        self._filled.set()

    def put_frame(self, camera: str, jpeg: bytes) -> None:
        """Replace the camera's waiting frame."""
        self.frames_dropped += camera in self._fresh
        self._fresh[camera] = jpeg

    def _drop_oldest(self) -> None:
        lost = self._events.popleft()
        self.events_dropped += 1
        for camera in [name for name, (number, _) in self._behind.items() if number <= lost.number]:
            del self._behind[camera]
            self.frames_dropped += 1

    async def take(self) -> tuple[OutEvent, dict[str, bytes]]:
        """The oldest event with the frames behind it, by camera; waits until there is one.

        The first event after a loss says in `dropped` how many events this client has lost so far.
        """
        await self._filled.wait()
        event = self._events.popleft()
        if not self._events:
            self._filled.clear()
        frames = {name: jpeg for name, (number, jpeg) in self._behind.items() if number == event.number}
        for name in frames:
            del self._behind[name]
        if self.events_dropped > self._told:
            self._told = self.events_dropped
            event = OutEvent(event.number, with_field(event.text, f'"dropped":{self._told}'), event.cycle_id)
        return event, frames


def with_field(text: str, field: str) -> str:
    """A JSON object's text with one more field at its end."""
    return f"{text[:-1]},{field}}}"
