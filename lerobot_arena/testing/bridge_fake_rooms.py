# SPDX-License-Identifier: Apache-2.0
"""The ROS side of rooms and the media process, in memory: what the bridge says to them, and what they say."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lerobot_arena.core.room import STATE, MediaSignal, RoomJoints
from lerobot_arena.rooms.media_wire import signal


@dataclass
class FakeRoomTopics:
    """A RoomTopics. `publishers` are the foreign ones by topic; what was published is kept."""

    outputs: dict[str, bool] = field(default_factory=dict)
    joints: dict[str, list[RoomJoints]] = field(default_factory=lambda: defaultdict(list))
    pictures: dict[str, list[tuple[bytes, int]]] = field(default_factory=lambda: defaultdict(list))
    listeners: dict[str, list[Callable[[RoomJoints], None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    publishers: dict[str, int] = field(default_factory=dict)

    def open_output(self, topic: str, *, is_video: bool) -> None:
        self.outputs[topic] = is_video

    def close_output(self, topic: str) -> None:
        self.outputs.pop(topic, None)

    def publish_joints(self, topic: str, joints: RoomJoints) -> None:
        if topic in self.outputs:
            self.joints[topic] = [*self.joints[topic][-999:], joints]

    def publish_jpeg(self, topic: str, jpeg: bytes, stamp_ns: int) -> None:
        if topic in self.outputs:
            self.pictures[topic] = [*self.pictures[topic][-9:], (jpeg, stamp_ns)]

    def open_joints(
        self, topic: str, on_joints: Callable[[RoomJoints], None], *, is_arm: bool
    ) -> Callable[[], None]:
        self.listeners[topic].append(on_joints)

        def close() -> None:
            self.listeners[topic].remove(on_joints)

        return close

    async def foreign_publishers(self, topics: Iterable[str]) -> dict[str, int]:
        return {topic: self.publishers.get(topic, 0) for topic in topics}

    def say(self, topic: str, joints: RoomJoints) -> None:
        """A ROS node published."""
        for listener in list(self.listeners[topic]):
            listener(joints)


@dataclass
class FakeMedia:
    """A MediaLink. Silent, as when the media process does not run, until `beat`."""

    sent: list[MediaSignal] = field(default_factory=list)
    boot_id: str = "media-1"
    is_there: bool = False

    def __post_init__(self) -> None:
        self._listener: Callable[[MediaSignal], None] = lambda _signal: None

    def send(self, signal: MediaSignal) -> None:
        self.sent = [*self.sent[-999:], signal]

    def listen(self, listener: Callable[[MediaSignal], None]) -> None:
        self._listener = listener

    def say(
        self, room_topic: str, kind: str, participant: str = "", payload: dict[str, Any] | None = None
    ) -> None:
        """The media process said something."""
        said = signal(room_topic, kind, participant, payload)
        self._listener(replace(said, boot_id=self.boot_id))

    def beat(self) -> None:
        """It lives."""
        self.is_there = True
        self.say("", STATE, payload={"rooms": 0, "peers": 0, "ice_servers": []})
