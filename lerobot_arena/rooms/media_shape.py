# SPDX-License-Identifier: Apache-2.0
"""What a room of the media process is made of: what OPEN says of it, and ROS as it sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.rooms.recovery import Picture
from lerobot_arena.rooms.video_config import RecoveryConfig, VideoConfig, recovery_config, video_config

DEFAULT_MAX_AGE_S = 0.5


class PictureTopics(Protocol):
    """ROS as a room sees it."""

    def publish(self, topic: str, picture: Picture, stamp_ns: int) -> None:
        """Show a client's picture as Image; from any thread."""

    def advertise(self, topic: str, is_wanted: bool) -> None:
        """Get ready to publish, or cease."""

    def subscribers(self, topic: str) -> int:
        """Nodes that listen to the topic."""

    def publishers(self, topic: str) -> int:
        """Other nodes that publish pictures there, raw or compressed."""

    def follow(self, topic: str, on_picture: Callable[[Picture], None]) -> Callable[[], None]:
        """Deliver a topic's pictures on the event loop, newest only, until the returned function is called."""


@dataclass(slots=True)
class RoomShape:
    """What OPEN says of a room."""

    config: VideoConfig = field(default_factory=VideoConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    image_topic: str = ""
    is_ros_only: bool = False
    max_age_s: float = DEFAULT_MAX_AGE_S

    @classmethod
    def from_payload(cls, payload: dict[str, Any], room_topic: str) -> "RoomShape":
        """Read OPEN. Raises InvalidInput."""
        given = dict(payload.get("config") or {})
        if payload.get("relay"):
            given["relay"] = payload["relay"]
        topic = payload.get("image_topic") or room_topic
        if not isinstance(topic, str):
            raise InvalidInput("image_topic must be text.")
        max_age_s = payload.get("max_age_s", DEFAULT_MAX_AGE_S)
        if not isinstance(max_age_s, float | int) or not 0 < max_age_s < 3600:
            raise InvalidInput("max_age_s must be a number of seconds.")
        recovery = recovery_config(payload.get("recovery_config") or {})
        is_ros_only = payload.get("is_ros_only") is True
        return cls(video_config(given), recovery, topic, is_ros_only, float(max_age_s))
