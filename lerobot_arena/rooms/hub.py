# SPDX-License-Identifier: Apache-2.0
"""All rooms there are, and how many there may be. Pure: kept and asked on the event loop."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lerobot_arena.core.clock import Clock, seconds_between
from lerobot_arena.core.errors import Conflict, NotFound, TooMany
from lerobot_arena.core.room import ROOM_KINDS
from lerobot_arena.rooms.refusals import refuse
from lerobot_arena.rooms.room import Place, Room, identities

INACTIVITY_S = 3600.0
SWEEP_S = 900.0


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Of the whole server, and of one account."""

    rooms: int = 512
    rooms_per_owner: int = 128
    workspaces: int = 256
    workspaces_per_owner: int = 64
    participants: int = 512
    participants_per_identity: int = 256


class Hub:
    """Rooms by kind, workspace and id. A workspace is nothing but a part of its rooms' names."""

    def __init__(self, clock: Clock, limits: RoomLimits | None = None) -> None:
        self.clock, self.limits = clock, limits or RoomLimits()
        self._rooms: dict[Place, Room] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)

    def find(self, place: Place) -> Room | None:
        """The room, or None."""
        return self._rooms.get(place)

    def get(self, place: Place) -> Room:
        """The room. Raises NotFound."""
        room = self._rooms.get(place)
        if room is None:
            raise NotFound("Room not found")
        return room

    def of_workspace(self, kind: str, workspace_id: str) -> list[Room]:
        """Its rooms of one kind, oldest first."""
        return [
            room
            for place, room in self._rooms.items()
            if (place.kind, place.workspace_id) == (kind, workspace_id)
        ]

    def of_kind(self, kind: str) -> list[Room]:
        """Every room of one kind, oldest first."""
        return [room for room in self._rooms.values() if room.place.kind == kind]

    def workspaces(self, kind: str) -> set[str]:
        """Names of those that have a room of that kind."""
        return {place.workspace_id for place in self._rooms if place.kind == kind}

    def add(self, room: Room) -> None:
        """A new room. Raises Conflict when its topic is taken by the other kind, TooMany when there are too many."""
        place = room.place
        for kind in ROOM_KINDS:
            other = self._rooms.get(Place(kind, place.workspace_id, place.room_id))
            if other is not None and room.tie is None:
                code = "room_exists" if kind == place.kind else "kind_taken"
                raise refuse(
                    Conflict,
                    code,
                    f"There is a {kind} room of this name in the workspace: choose another name.",
                )
        if room.tie is None:
            self._check_room_for(room)
        self._rooms[place] = room

    def _check_room_for(self, room: Room) -> None:
        """A session's rooms follow from the session and are not counted."""
        made = [other for other in self._rooms.values() if other.tie is None]
        mine = [other for other in made if other.owner == room.owner]
        for rooms, most_rooms, most_workspaces, whose in (
            (made, self.limits.rooms, self.limits.workspaces, "here"),
            (mine, self.limits.rooms_per_owner, self.limits.workspaces_per_owner, "of yours"),
        ):
            names = {other.place.workspace_id for other in rooms} | {room.place.workspace_id}
            if len(rooms) >= most_rooms or len(names) > most_workspaces:
                raise refuse(
                    TooMany,
                    "too_many_rooms",
                    f"There are {len(rooms)} rooms in {len(names)} workspaces {whose}; at most {most_rooms} in "
                    f"{most_workspaces}. Delete some first.",
                )

    def check_participant(self, identity: str) -> None:
        """One more may join. Raises TooMany."""
        here = Counter(identities(self._rooms.values()))
        if (
            here.total() >= self.limits.participants
            or here[identity] >= self.limits.participants_per_identity
        ):
            raise refuse(
                TooMany,
                "too_many_participants",
                f"There are {here.total()} participants, {here[identity]} of them yours; at most "
                f"{self.limits.participants} and {self.limits.participants_per_identity}.",
            )

    def remove(self, place: Place, reason: str) -> Room | None:
        """Close a room; everybody in it is told."""
        room = self._rooms.pop(place, None)
        if room is not None:
            room.close(reason)
        return room

    def idle_s(self, room: Room) -> float:
        """Seconds since anybody used it."""
        return seconds_between(room.active_ns, self.clock.steady_ns())

    def is_due(self, room: Room) -> bool:
        """Nobody was there for INACTIVITY_S. A session's rooms never are, nor one that is stopped: it would be made
        again without its e-stop."""
        is_free = room.tie is None and not room.members and not room.estop_latched
        return is_free and self.idle_s(room) > INACTIVITY_S

    def due(self, may: Callable[[Room], bool] = lambda _room: True) -> list[Room]:
        """What a sweep removes."""
        return [room for room in self._rooms.values() if self.is_due(room) and may(room)]
