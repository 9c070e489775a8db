# SPDX-License-Identifier: Apache-2.0
"""One room of a session on another arena: a participant there and one here, with a pipe between them.

Everything that goes through carries its age, and each end refuses what is too old; so a link that stalls looks to the
guard like a camera or a robot that fell silent. An e-stop goes both ways, also one that was said while the pipe was
broken: whenever it is laid again, both latches are compared.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any

from lerobot_arena.bridge.remote_seat import PARTICIPANT, Refusals, Seat
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.client.arena import AsyncArena
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.credentials import stored_token
from lerobot_arena.client.room_link import RoomLink
from lerobot_arena.client.sockets import Backoff
from lerobot_arena.core.errors import ArenaError, Conflict, NotFound, Unavailable
from lerobot_arena.core.room import VIDEO
from lerobot_arena.rooms.media_wire import WEBRTC
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.room import Place, Room

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
# A pipe that is gone sooner is no success: the next try waits longer.
_STOOD_S = 5.0


class RemoteRoom(ABC):
    """A pipe that is laid again whenever it breaks. `run` until cancelled, then `unmake`."""

    def __init__(self, server: RoomServer, place: Place, url: str, *, name: str) -> None:
        """`url` is the other arena's; `name` is who this server is in the room over there."""
        self._server, self._place, self._url, self._name = server, place, url, name
        self._here: tuple[Room, Member] | None = None
        self._link: RoomLink | None = None
        self._trouble = "not joined yet"
        self._refusals = Refusals()
        self._has_made = False
        self._up_s: float | None = None

    @property
    def is_live(self) -> bool:
        """Joined on both sides, the other arena was heard of a moment ago, and what is said can pass."""
        link = self._link
        return self._here is not None and link is not None and link.is_live and not self._obstacle()

    @property
    def detail(self) -> str:
        """What a person should know: why it is not live, else a latch there, else what was refused a moment ago."""
        link = self._link
        if found := self._obstacle():
            return found
        if link is None or not link.is_live:
            return "Nothing was heard from there for a while."
        if link.is_latched_there:
            return "The e-stop of the room there is latched: reset it there as well."
        return self._refusals.text

    def _obstacle(self) -> str:
        return self._trouble

    # Being there

    async def run(self) -> None:
        """Make the room there, join it on both sides, pass things on; again after every failure."""
        backoff = Backoff()
        while True:
            self._up_s = None
            error = await self._visit()
            if self._up_s is not None and time.monotonic() - self._up_s > _STOOD_S:
                backoff.succeeded()
            self._trouble = str(error)
            _log.info("Room %s on %s: %s", self._place.room_id, self._url, error)
            await asyncio.sleep(backoff.pause_s(error))

    async def _visit(self) -> ArenaError:
        """Once; why it ended."""
        try:
            connection = self._connection()
            async with AsyncArena(self._url, connection.token) as arena:
                await self._make(arena)
                await self._join(arena, connection)
        except ArenaError as error:
            return error
        except Exception as error:  # whatever another server says, it must not end the pipe for good
            _log.exception("Room %s on %s", self._place.room_id, self._url)
            return Unavailable(f"{self._url} says what this server cannot work with: {error!r:.200}.")
        return Unavailable("The connection ended.")

    def _connection(self) -> Connection:
        # Read anew for each try, so that a login mends it. Never ARENA_TOKEN: that one is for calls to this server.
        return Connection(self._url, stored_token(self._url))

    def _rooms(self, arena: AsyncArena) -> Any:
        return arena.video if self._place.kind == VIDEO else arena.robotics

    async def _make(self, arena: AsyncArena) -> None:
        """One that is there is taken as it is: an original transport server would put a new one in its place."""
        rooms, place = self._rooms(arena), self._place
        try:
            await rooms.get(place.workspace_id, place.room_id)
        except NotFound:
            self._has_made = False
            try:
                await rooms.create(place.workspace_id, place.room_id, **self._settings())
            except Conflict as error:
                # Made by somebody else: whether we may use it, joining tells.
                _log.debug("Room %s: %s", place.room_id, error)
            else:
                self._has_made = True

    def _settings(self) -> dict[str, Any]:
        """How the room there is made."""
        return {}

    async def unmake(self) -> None:
        """End the room there, if it is the one that was made here. Raises what that arena answers."""
        if self._has_made:
            self._has_made = False
            async with AsyncArena(self._url, self._connection().token) as arena:
                await self._rooms(arena).delete(self._place.workspace_id, self._place.room_id)

    @abstractmethod
    async def _join(self, arena: AsyncArena, connection: Connection) -> None:
        """Pass things on until it ends. Raises what either side says."""

    def _seat(self, role: str, media: str = WEBRTC) -> Seat:
        return Seat(self._server, self._place, role, media)

    async def _while_linked(self, link: RoomLink, *works: Coroutine[Any, Any, None]) -> None:
        """Do these until one ends, or the link is over for good. Raises what it ended with."""
        tasks = [asyncio.create_task(work) for work in (*works, self._watch(link))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, link: RoomLink) -> None:
        while link.failure is None and not link.is_over:  # noqa: ASYNC110  the client has no event for it
            await asyncio.sleep(_LOOK_S)
        if isinstance(link.failure, NotFound):
            # Whoever makes it next, it is no longer the one that was made here.
            self._has_made = False
        raise link.failure or Unavailable("The connection ended.")

    # What is said here

    async def _pass_on(self, seat: Seat, link: RoomLink) -> None:
        while True:
            message = await seat.next()
            if message["type"] == "emergency_stop":
                if message.get("source") != PARTICIPANT:
                    link.stop_soon(str(message.get("reason")))
            elif message["type"] == "error":
                code, sentence = str(message.get("code")), str(message.get("message"))
                self._refusals.note("here", code, sentence, int(message.get("count", 1)))
            elif message.get("status") == "estop_reset" and "estop_latched" not in link.joined:
                # An original server has no latch to reset, so only a new connection there ends ours.
                raise Unavailable("The e-stop was reset; the room there is joined anew.")
            else:
                await self._say_there(message)

    @abstractmethod
    async def _say_there(self, message: dict[str, Any]) -> None:
        """Something else that was said here."""

    # E-stops and breaks there

    def _on_change(self, is_up: bool, reason: str) -> None:
        self._trouble = "" if is_up else reason or "The connection broke."
        if is_up:
            self._up_s = self._up_s or time.monotonic()
            self._compare_latches()

    def _compare_latches(self) -> None:
        """What was stopped on one side while the pipe was broken is stopped on the other as well."""
        if self._here is None or self._link is None:
            return
        room, member = self._here
        link, is_latched_here = self._link, room.estop_latched
        if is_latched_here and not link.estop_latched:
            link.stop_soon(
                f"The e-stop of {self._place.room_id} was latched while the connection was broken."
            )
        elif link.is_latched_there and not link.is_own_latch and not is_latched_here:
            self._server.emergency_stop(
                room, member, f"The room on {self._url} is latched: reset it there too"
            )

    def _on_estop(self, reason: str, source: str) -> None:
        """Somebody over there stopped: the arm is stopped here."""
        if source != self._name and self._here is not None:
            room, member = self._here
            self._server.emergency_stop(room, member, f"{reason} (by {source} on {self._url})")
