# SPDX-License-Identifier: Apache-2.0
"""What waits for one web client: bounded events, and of each camera only the newest frame."""

import asyncio
from collections import deque

MAX_EVENTS = 500


class Outbox:
    """Filled without ever waiting, emptied at the client's own speed; so a stuck client harms nobody."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._events: deque[str] = deque()
        self._max_events = max_events
        self._frames: dict[str, bytes] = {}
        self._filled = asyncio.Event()
        self.events_dropped = 0
        self.frames_dropped = 0

    def put_event(self, text: str) -> None:
        """Queue an event; a full queue loses its oldest, counted."""
        if len(self._events) >= self._max_events:
            self._events.popleft()
            self.events_dropped += 1
        self._events.append(text)
        self._filled.set()

    def put_frame(self, camera: str, frame: bytes) -> None:
        """Replace the camera's waiting frame."""
        self.frames_dropped += camera in self._frames
        self._frames[camera] = frame
        self._filled.set()

    async def take(self) -> tuple[str | None, list[bytes]]:
        """The oldest event and every waiting frame; waits until there is one of either."""
        await self._filled.wait()
        event = self._events.popleft() if self._events else None
        frames = list(self._frames.values())
        self._frames.clear()
        if not self._events:
            self._filled.clear()
        return event, frames
