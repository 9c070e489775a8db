# SPDX-License-Identifier: Apache-2.0
"""Sessions whose rooms are on another arena: joined there for as long as the session exists."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from lerobot_arena.bridge.remote_camera import RemoteCamera
from lerobot_arena.bridge.remote_joints import RemoteJoints
from lerobot_arena.bridge.remote_room import RemoteRoom
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.bridge.rooms_sessions import places_of
from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.core import topics
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.room import VIDEO
from lerobot_arena.rooms.room import Place

_log = logging.getLogger(__name__)

# A server that answers no more must not keep this one from ending.
_UNMADE_WITHIN_S = 5.0


class _Visit:
    """One session's rooms on one other arena."""

    def __init__(self, url: str, session: BookedSession, server: RoomServer) -> None:
        self.url, self._server, self._session = url, server, session
        self._tasks: list[asyncio.Task[None]] = []
        self.rooms = {place.room_id: self._room(place) for place, _ in places_of(session.wanted)}

    def _room(self, place: Place) -> RemoteRoom:
        wanted, manifest = self._session.wanted, self._session.record.manifest
        is_input = place.room_id != topics.joint_output_room(wanted.session_id)
        # As the original inference server calls itself, and another name in each room: its transport server has
        # one table of participants for all of them.
        name = f"{place.room_id}-{'consumer' if is_input else 'producer'}"
        if place.kind == VIDEO:
            return RemoteCamera(self._server, place, self.url, name=name)
        return RemoteJoints(
            self._server,
            place,
            self.url,
            name=name,
            is_input=is_input,
            unit=wanted.unit or str(manifest.get("unit") or ""),
            joint_names=wanted.joint_names or tuple(manifest.get("joint_names") or ()),
        )

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(room.run()) for room in self.rooms.values()]
        for task in self._tasks:
            task.add_done_callback(_tell_failure)

    async def end(self, *, delete: bool) -> None:
        """Leave; with `delete` the rooms there that were made from here go as well."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not delete:
            return
        tasks = [asyncio.create_task(room.unmake()) for room in self.rooms.values()]
        _, late = await asyncio.wait(tasks, timeout=_UNMADE_WITHIN_S)
        for task in late:
            task.cancel()
        if any(await asyncio.gather(*tasks, return_exceptions=True)):
            # They end there by themselves, an hour after the last participant left.
            _log.info("Rooms on %s were not all deleted.", self.url)


class RemoteArenas:
    """`follow` after every change of the sessions. `remote` gives a session's arena, None for rooms here."""

    def __init__(self, server: RoomServer, remote: Callable[[str], str | None]) -> None:
        self._server, self._remote = server, remote
        self._visits: dict[str, _Visit] = {}
        self._refused: dict[str, tuple[str, str]] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def follow(self, sessions: list[BookedSession]) -> None:
        """Visit for exactly these sessions."""
        wanted = {session.wanted.session_id: session for session in sessions}
        for session_id in [name for name in self._visits if name not in wanted]:
            self._end(self._visits.pop(session_id))
        self._refused = {name: why for name, why in self._refused.items() if name in wanted}
        for session_id, session in wanted.items():
            if session_id not in self._visits and session_id not in self._refused:
                self._begin(session_id, session)

    def _begin(self, session_id: str, session: BookedSession) -> None:
        asked = session.record.arena_server_url
        try:
            url = self._remote(asked)
        except ArenaError as error:
            # It was allowed when the session was made.
            _log.warning("Session %s does not join its rooms: %s", session_id, error)
            self._refused[session_id] = asked, str(error)
            return
        if url is not None:
            self._visits[session_id] = visit = _Visit(url, session, self._server)
            visit.begin()

    def status(self, session_id: str) -> dict[str, Any] | None:
        """Where a session's rooms are and whether they are joined; None when they are here."""
        if session_id in self._refused:
            url, why = self._refused[session_id]
            return {"url": url, "is_connected": False, "detail": why, "rooms": {}}
        visit = self._visits.get(session_id)
        if visit is None:
            return None
        rooms = {
            name: {"is_connected": room.is_live, "detail": room.detail} for name, room in visit.rooms.items()
        }
        return {
            "url": visit.url,
            "is_connected": all(room.is_live for room in visit.rooms.values()),
            "detail": next((room["detail"] for room in rooms.values() if room["detail"]), ""),
            "rooms": rooms,
        }

    def _end(self, visit: _Visit) -> None:
        task = asyncio.get_running_loop().create_task(visit.end(delete=True))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """Leave everywhere; the rooms there stay, for the sessions come back."""
        ends = [visit.end(delete=False) for visit in self._visits.values()]
        await asyncio.gather(*self._endings, *ends, return_exceptions=True)
        self._visits.clear()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("A remote room ended.", exc_info=error)
