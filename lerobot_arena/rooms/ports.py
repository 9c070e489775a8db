# SPDX-License-Identifier: Apache-2.0
"""What the rooms ask of their surroundings: the robot side for joints and pictures, the media process for WebRTC.

The media process decodes foreign video, so it is never the process that answers an e-stop. Both sides speak
`MediaSignal`s of one room, whose `payload` is a JSON object:

To media; `participant` is who it is about, or empty:

    OPEN    ""           the room exists, or its settings changed: `config`, `recovery_config`, `relay` (`server` or
                         `p2p`), `image_topic` (where ROS has its pictures), `is_ros_only` (no client may produce),
                         `max_age_s` (later pictures are not published)
    CLOSE   ""           the room is gone: {}
    WANT    who joined   `role` (`producer` or `consumer`), `media` (`webrtc` or `jpeg`)
    DROP    who left     {}
    OFFER, ANSWER, ICE
            the sender   the signal as it was posted: `type`, `sdp` or `candidate`, and the `target_consumer` or
                         `target_producer`

From media; `participant` is the addressee:

    OFFER                {"offer": {"type", "sdp"}, "from_producer": "arena" or a participant}
    ANSWER               {"answer": {"type", "sdp"}, "from_consumer": "arena" or a participant}
    ICE                  {"candidate": {…}, "from_producer": …, "from_consumer": …}
    STATE                an event for clients with its `type`, one of STATE_TYPES; participant "": for all
    ERROR                {"code", "message"}

The bridge adds `timestamp` and hands on; a `from_…` of another participant than `arena` passes a signal on untouched,
or speaks in that participant's name. A media process with a new `boot_id` gets every OPEN and WANT again. It says by
beats that it lives (media_wire.py); without them the bridge passes the signals of clients on between themselves.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from lerobot_arena.core.room import MediaSignal, RoomJoints

ARENA = "arena"
"""The server's own participant id; no client may have it."""
STATE_TYPES = frozenset(
    {
        "participant_joined",
        "participant_left",
        "recovery_triggered",
        "status_update",
        "stream_started",
        "stream_stats",
        "stream_stopped",
    }
)


class MediaLink(Protocol):
    """The media process as the bridge sees it. Everything happens on the event loop. Over ROS: ros/media_link.py."""

    @property
    def is_there(self) -> bool:
        """The process lives and hears us."""

    def send(self, signal: MediaSignal) -> None:
        """Hand on, never waiting; the link fills in `sequence` and `boot_id`."""

    def listen(self, listener: Callable[[MediaSignal], None]) -> None:
        """Call `listener` with each signal of the media process, beats included, from now on. One listener."""


class RoomTopics(Protocol):
    """The ROS side of rooms. Methods are called on the event loop, callbacks on any thread."""

    def open_output(self, topic: str, *, is_video: bool) -> None:
        """Get ready to publish on a room's topic; it takes a while until subscribers have found it."""

    def close_output(self, topic: str) -> None:
        """Publish there no more."""

    def publish_joints(self, topic: str, joints: RoomJoints) -> None:
        """Say what a client or the API said. Nothing happens while the topic is not ready."""

    def publish_jpeg(self, topic: str, jpeg: bytes, stamp_ns: int) -> None:
        """Show a client's picture as CompressedImage; `stamp_ns` is the capture, on the wall clock."""

    def open_joints(
        self, topic: str, on_joints: Callable[[RoomJoints], None], *, is_arm: bool
    ) -> Callable[[], None]:
        """Deliver a room's RoomJoints, or an arm's JointState in radians, until the returned function is called."""

    async def foreign_publishers(self, topics: Iterable[str]) -> dict[str, int]:
        """How many nodes other than the bridge and the media process publish on each topic now."""
