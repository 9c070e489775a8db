# SPDX-License-Identifier: Apache-2.0
"""Sessions whose rooms are on another arena: joined there for as long as the session exists."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from lerobot_arena.bridge.remote_room import RemoteCamera, RemoteJoints, RemoteRoom
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.bridge.rooms_sessions import places_of
from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.client.arena import AsyncArena
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.credentials import stored_token
from lerobot_arena.core import topics
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.room import VIDEO

_log = logging.getLogger(__name__)


class _Visit:
    """One session's rooms on one other arena."""

    def __init__(self, url: str, session: BookedSession, server: RoomServer) -> None:
        self.url = url
        # Never ARENA_TOKEN: that one is for calls to this server.
        connection = Connection(url, stored_token(url))
        self._arena = AsyncArena(url, connection.token)
        self._tasks: list[asyncio.Task[None]] = []
        wanted = session.wanted
        output = topics.joint_output_room(wanted.session_id)
        self.rooms: dict[str, RemoteRoom] = {}
        for place, _ in places_of(wanted):
            common = (server, place, self._arena, connection)
            is_input = place.room_id != output
            # As the original inference server calls itself, and another name in each room: its transport server has
            # one table of participants for all of them.
            name = f"{place.room_id}-{'consumer' if is_input else 'producer'}"
            self.rooms[place.room_id] = (
                RemoteCamera(*common, name=name)
                if place.kind == VIDEO
                else RemoteJoints(*common, name=name, is_input=is_input)
            )
        self._places = [place for place, _ in places_of(wanted)]

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(room.run()) for room in self.rooms.values()]
        for task in self._tasks:
            task.add_done_callback(_tell_failure)

    async def end(self, *, delete: bool) -> None:
        """Leave; with `delete` the rooms there go as well, as far as that arena lets us."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if delete:
            for place in self._places:
                kind = self._arena.video if place.kind == VIDEO else self._arena.robotics
                with contextlib.suppress(ArenaError):  # it may be gone, or somebody else's
                    await kind.delete(place.workspace_id, place.room_id)
        await self._arena.close()


class RemoteArenas:
    """`follow` after every change of the sessions. `remote` gives a session's arena, None for rooms here."""

    def __init__(self, server: RoomServer, remote: Callable[[str], str | None]) -> None:
        self._server, self._remote = server, remote
        self._visits: dict[str, _Visit] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def follow(self, sessions: list[BookedSession]) -> None:
        """Visit for exactly these sessions."""
        wanted = {session.wanted.session_id: session for session in sessions}
        for session_id in [name for name in self._visits if name not in wanted]:
            self._end(self._visits.pop(session_id))
        for session_id, session in wanted.items():
            if session_id in self._visits:
                continue
            try:
                url = self._remote(session.record.arena_server_url)
            except ArenaError as error:
                # It was allowed when the session was made.
                _log.warning("Session %s does not join its rooms: %s", session_id, error)
                continue
            if url is not None:
                self._visits[session_id] = visit = _Visit(url, session, self._server)
                visit.begin()

    def status(self, session_id: str) -> dict[str, Any] | None:
        """Where a session's rooms are and whether they are joined; None when they are here."""
        visit = self._visits.get(session_id)
        if visit is None:
            return None
        rooms = {
            name: {"is_connected": room.is_live, "detail": room.detail} for name, room in visit.rooms.items()
        }
        return {
            "url": visit.url,
            "is_connected": all(room.is_live for room in visit.rooms.values()),
            "rooms": rooms,
        }

    def _end(self, visit: _Visit) -> None:
        task = asyncio.get_running_loop().create_task(visit.end(delete=True))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """Leave everywhere; the rooms there stay, for the sessions come back."""
        await asyncio.gather(*self._endings, return_exceptions=True)
        for visit in self._visits.values():
            await visit.end(delete=False)
        self._visits.clear()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("A remote room ended.", exc_info=error)
