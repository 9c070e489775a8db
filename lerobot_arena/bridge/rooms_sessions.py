# SPDX-License-Identifier: Apache-2.0
"""The rooms that a session has by itself: they come and go with it, and follow the latch of its arm's guard."""

from collections.abc import Callable, Iterator

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.session_book import BookedSession
from lerobot_arena.bridge.store import SessionRecord
from lerobot_arena.core import topics
from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.principal import LOCAL_NAME
from lerobot_arena.core.room import ROBOTICS, ROOM_KINDS, VIDEO
from lerobot_arena.core.session import GuardState, SessionWanted
from lerobot_arena.core.units import NORMALIZED, RADIANS
from lerobot_arena.rooms.hub import Hub
from lerobot_arena.rooms.joint_payload import Joints, JointVocabulary
from lerobot_arena.rooms.refusals import refuse
from lerobot_arena.rooms.robotics import RoboticsRoom, RoboticsSettings
from lerobot_arena.rooms.room import MOST_CONSUMERS, Place, Room, Tie
from lerobot_arena.rooms.video import VideoRoom, VideoSettings


def places_of(wanted: SessionWanted) -> Iterator[tuple[Place, Tie]]:
    """Every room of a session: cameras, measured joints, executed joints."""
    session_id, arm, is_arm = wanted.session_id, wanted.arm, not wanted.is_virtual
    workspace = wanted.workspace_id
    for name, topic in zip(wanted.camera_names, wanted.camera_topics, strict=True):
        place = Place(VIDEO, workspace, topics.camera_room(session_id, name))
        yield place, Tie(session_id, arm, image_topic=topic, is_ros_only=is_arm, is_arm=is_arm)
    # An arm's joints are measured by its embodiment alone; executed ones are said by the guard alone.
    place = Place(ROBOTICS, workspace, topics.joint_input_room(session_id))
    yield (
        place,
        Tie(session_id, arm, joints_topic=wanted.joint_input_topic, is_ros_only=is_arm, is_arm=is_arm),
    )
    place = Place(ROBOTICS, workspace, topics.joint_output_room(session_id))
    yield place, Tie(session_id, arm, joints_topic=wanted.joint_output_topic, is_ros_only=True)


class SessionRooms:
    """Keeps the hub in step with the sessions. `prepare` readies a new room, `gone` takes leave of one; `give_way`
    ends a client's room."""

    def __init__(
        self,
        hub: Hub,
        board: Board,
        *,
        prepare: Callable[[Room], None],
        gone: Callable[[Room], None],
        give_way: Callable[[Room, str], None],
    ) -> None:
        self._hub, self._board = hub, board
        self._prepare, self._gone, self._give_way = prepare, gone, give_way
        self._vocabularies: dict[tuple[tuple[str, ...], str], JointVocabulary] = {}
        board.guard_listeners.append(self._on_guard)

    def check_free(self, record: SessionRecord) -> None:
        """Raise Conflict when a room of the new session would end one of somebody else's."""
        if record.owner == LOCAL_NAME:
            return
        for place, _ in places_of(record.wanted):
            for room in self._sharing(place):
                if room.tie is None and room.owner != record.owner:
                    raise refuse(
                        Conflict,
                        "room_exists",
                        f"A room of this session would be {place.room_id!r}, which is there already: choose another "
                        "session_id or workspace_id.",
                    )

    def _sharing(self, place: Place) -> list[Room]:
        """Rooms of either kind in that place: they have one topic."""
        places = (Place(kind, place.workspace_id, place.room_id) for kind in ROOM_KINDS)
        return [room for other in places if (room := self._hub.find(other)) is not None]

    def follow(self, sessions: list[BookedSession]) -> None:
        """Exactly these sessions have rooms from now on. A client's room of the same name gives way, and is told."""
        wanted: dict[Place, tuple[Tie, BookedSession]] = {
            place: (tie, session) for session in sessions for place, tie in places_of(session.wanted)
        }
        for room in self._hub:
            if room.tie is not None and room.place not in wanted:
                self._gone(room)
                self._hub.remove(room.place, "session deleted")
        for place, (tie, session) in wanted.items():
            for room in self._sharing(place):
                if room.tie is None:
                    self._give_way(room, "its name is a session's now")
            if self._hub.find(place) is None:
                self._hub.add(self._made(place, tie, session))

    def _made(self, place: Place, tie: Tie, session: BookedSession) -> Room:
        owner, clock = session.record.owner, self._board.clock
        room: Room
        if place.kind == VIDEO:
            video = VideoSettings(max_consumers=MOST_CONSUMERS)
            room = VideoRoom(place, clock, owner=owner, settings=video, tie=tie)
        else:
            robotics = RoboticsSettings(max_consumers=MOST_CONSUMERS)
            made = RoboticsRoom(place, clock, owner=owner, settings=robotics, tie=tie)
            made.joints = lambda: self._joints(session, is_arms=tie.is_arm)
            room = made
        room.guard_is_latched = lambda: self._is_latched(tie.arm)
        self._prepare(room)
        return room

    def _joints(self, session: BookedSession, *, is_arms: bool) -> Joints:
        """As the session names them, once its policy says so; an arm's own are in radians."""
        held = self._board.sessions
        status = held.value.of(session.wanted.session_id) if held is not None else None
        names = session.wanted.joint_names or (status.joint_names if status else ())
        unit = RADIANS if is_arms else session.wanted.unit or (status.unit if status else "") or NORMALIZED
        key = names, unit
        if key not in self._vocabularies:
            if len(self._vocabularies) > 64:
                self._vocabularies.clear()
            self._vocabularies[key] = JointVocabulary(names, unit)
        return self._vocabularies[key]

    def _is_latched(self, arm: str) -> bool:
        seen = self._board.facts(arm).guard
        return seen is not None and seen.value.estop_latched

    def _on_guard(self, before: GuardState | None, now: GuardState) -> None:
        was = before is not None and before.estop_latched
        if was == now.estop_latched:
            return
        for room in self._hub:
            if room.tie is None or room.tie.arm != now.arm:
                continue
            if now.estop_latched:
                if room.latched_by is None:
                    room.guard_latched(now.message or "The guard latched the e-stop.")
            else:
                room.latched_by = None
                room.tell_released("guard")
