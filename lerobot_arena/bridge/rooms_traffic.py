# SPDX-License-Identifier: Apache-2.0
"""Which way each room's topic flows. A client or the API produces: the bridge publishes. Else ROS does: it listens.

Never both, so it never hears itself.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from lerobot_arena.core import topics
from lerobot_arena.core.room import RoomJoints
from lerobot_arena.rooms.hub import Hub
from lerobot_arena.rooms.media_wire import JPEG
from lerobot_arena.rooms.ports import RoomTopics
from lerobot_arena.rooms.robotics import RoboticsRoom
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.video import VideoRoom

_log = logging.getLogger(__name__)

LOOK_S = 1.0
# So long after a command over REST the room's direction stays that way.
_API_HOLDS_S = 2.0


def topic_of(room: Room) -> str:
    """Where a room's values are in ROS: its own topic, or that of the session's arm."""
    tie = room.tie
    own = tie.joints_topic or tie.image_topic if tie is not None else ""
    return own or topics.room(room.place.workspace_id, room.place.room_id)


class RoomTraffic:
    """Lives on the event loop; `update` after every change of a room's members."""

    def __init__(self, hub: Hub, link: RoomTopics) -> None:
        self._hub, self._link = hub, link
        self._heard: dict[Place, Callable[[], None]] = {}
        self._outputs: dict[Place, str] = {}

    def prepare(self, room: Room) -> None:
        """Connect a new room's ways out."""
        topic = topic_of(room)
        if isinstance(room, RoboticsRoom):
            room.to_ros = lambda joints: self._link.publish_joints(topic, joints)
            if room.tie is not None and not room.is_ros_only:
                # The first values of a robot shall not be lost to discovery.
                self._open_output(room)
        elif isinstance(room, VideoRoom):
            room.to_ros = lambda jpeg, stamp_ns: self._link.publish_jpeg(topic, jpeg, stamp_ns)

    def forget(self, room: Room) -> None:
        """The room is gone."""
        self._stop_hearing(room.place)
        topic = self._outputs.pop(room.place, None)
        if topic is not None:
            self._link.close_output(topic)

    def update(self, room: Room) -> None:
        """Members came or went, or a command was said."""
        producer = room.producer
        if isinstance(room, RoboticsRoom):
            is_ours = producer is not None or room.api_spoke_s < _API_HOLDS_S
            if is_ours:
                self._stop_hearing(room.place)
                self._open_output(room)
            elif room.consumers:
                self._hear(room)
            else:
                self._stop_hearing(room.place)
        elif producer is not None and producer.join.media == JPEG:
            self._open_output(room)

    def _open_output(self, room: Room) -> None:
        if room.place not in self._outputs and not room.is_ros_only:
            self._outputs[room.place] = topic = topic_of(room)
            self._link.open_output(topic, is_video=isinstance(room, VideoRoom))

    def _hear(self, room: RoboticsRoom) -> None:
        if room.place in self._heard:
            return
        loop, clock = asyncio.get_running_loop(), room.clock

        def hear(joints: RoomJoints, receipt_ns: int) -> None:
            if room.place in self._heard:
                room.hear(joints, receipt_ns)

        def on_joints(joints: RoomJoints) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(hear, joints, clock.steady_ns())

        is_arm = room.tie is not None and room.tie.is_arm
        self._heard[room.place] = self._link.open_joints(topic_of(room), on_joints, is_arm=is_arm)

    def _stop_hearing(self, place: Place) -> None:
        close = self._heard.pop(place, None)
        if close is not None:
            close()

    async def look(self, rooms: Iterable[Room]) -> None:
        """Find out in which of the rooms ROS produces."""
        by_topic: dict[str, list[Room]] = {}
        for room in rooms:
            by_topic.setdefault(topic_of(room), []).append(room)
        if not by_topic:
            return
        found = await self._link.foreign_publishers(by_topic)
        for topic, sharing in by_topic.items():
            for room in sharing:
                room.ros_producers = found.get(topic, 0)

    async def keep_looking(self) -> None:
        """Once a second, at rooms that somebody is in, or that ROS produced in; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._look_around()
            except Exception:  # ROS's own kinds; the next look may do better
                _log.exception("Who produces in the rooms could not be seen.")

    async def _look_around(self) -> None:
        rooms = [room for room in self._hub if room.members or room.ros_producers]
        await self.look(rooms)
        for room in rooms:
            if not room.is_closed:
                self.update(room)

    def close(self) -> None:
        """Hear and say nothing more."""
        for room in self._hub:
            self.forget(room)
