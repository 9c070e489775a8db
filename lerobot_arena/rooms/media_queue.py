# SPDX-License-Identifier: Apache-2.0
"""A room's signals that wait while one of them is dealt with. Pure but for the waiting.

Clients' own signals find no place in a full queue. Who is in the room, and how it is set up, always finds one: of those
the newest of each is enough, so they cannot pile up.
"""

import asyncio

from lerobot_arena.core.errors import TooMany
from lerobot_arena.core.room import CLOSE, DROP, OPEN, WANT, MediaSignal

# A browser trickles some dozen candidates.
MOST_WAITING = 400


class SignalQueue:
    """`put` from the loop, `get` by the one task that deals with them."""

    def __init__(self) -> None:
        self._waiting: list[MediaSignal] = []
        self._filled = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self._waiting

    def put(self, new: MediaSignal) -> None:
        """In order. Raises TooMany."""
        if new.kind in {OPEN, WANT}:
            for place, old in enumerate(self._waiting):
                if (old.kind, old.participant) == (new.kind, new.participant):
                    self._waiting[place] = new
                    return
        elif new.kind == DROP:
            self._waiting = [old for old in self._waiting if old.participant != new.participant]
        elif new.kind == CLOSE:
            self._waiting.clear()
        elif len(self._waiting) >= MOST_WAITING:
            raise TooMany("This room's signals come faster than they can be dealt with.")
        self._waiting.append(new)
        self._filled.set()

    async def get(self) -> MediaSignal:
        """The oldest; waits until there is one."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.pop(0)
