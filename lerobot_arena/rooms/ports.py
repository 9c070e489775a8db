# SPDX-License-Identifier: Apache-2.0
"""What the rooms ask of their surroundings: the robot side for joints and pictures, the media process for WebRTC.

The media process decodes foreign video, so it is never the process that answers an e-stop. What the two say to each
other is in media_wire.py.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from lerobot_arena.core.room import MediaSignal, RoomJoints


class MediaLink(Protocol):
    """The media process as the bridge sees it. Everything happens on the event loop."""

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
