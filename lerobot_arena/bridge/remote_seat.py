# SPDX-License-Identifier: Apache-2.0
"""This server's own place in one of its rooms, for what is passed on to or from a room elsewhere."""

import json
import time
from collections import Counter
from typing import Any

from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.principal import LOCAL
from lerobot_arena.rooms.mailbox import Closing, Mailbox
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.wire import Join

PARTICIPANT = "remote"
_SHOWN_S = 10.0


class Seat:
    """Use it in an `async with`."""

    def __init__(self, server: RoomServer, place: Place, role: str, media: str) -> None:
        self._server, self._place, self._join = server, place, Join(PARTICIPANT, role, media)
        self.mailbox = Mailbox(server.clock.steady_ns)

    async def __aenter__(self) -> tuple[Room, Member]:
        self._taken = await self._server.join(self._place, self._join, LOCAL, self.mailbox)
        return self._taken

    async def __aexit__(self, *_: object) -> None:
        self._server.leave(*self._taken)

    async def next(self) -> dict[str, Any]:
        """What is said to us here; pictures are left out. Raises Unavailable when we are let go."""
        while True:
            parcel = await self.mailbox.take()
            if isinstance(parcel, Closing):
                raise Unavailable(f"The room here let us go: {parcel.reason}.")
            if isinstance(parcel, str):
                message: dict[str, Any] = json.loads(parcel)
                return message


class Refusals:
    """What either room does not take of the other's, counted by code; `text` tells of the last for a while."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last, self._at_s = "", 0.0

    def note(self, where: str, code: str, sentence: str, count: int = 1) -> None:
        """`where`: here or there."""
        self._counts[f"{where} {code}"] += count
        times = self._counts[f"{where} {code}"]
        self._last, self._at_s = f"Refused {where} ({code}, {times} times): {sentence}", time.monotonic()

    @property
    def text(self) -> str:
        """Empty when nothing was refused in the last seconds."""
        return self._last if time.monotonic() - self._at_s < _SHOWN_S else ""
