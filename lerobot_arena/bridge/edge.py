# SPDX-License-Identifier: Apache-2.0
"""Rooms as ROS topics, for the bridge: convert → call → convert. What rooms/ports.py calls RoomTopics."""

import asyncio
import contextlib
from array import array
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

from lerobot_arena.core import topics
from lerobot_arena.core.room import RoomJoints
from lerobot_arena.core.units import RADIANS
from lerobot_arena.ros import convert, qos

# The media process publishes what clients send by WebRTC, so it does not count as a robot's own publisher.
_OURS = frozenset({"bridge", "media"})


class RoomTopicsOverRos:
    """`hands` is the one thread that makes and ends endpoints, which takes tens of milliseconds each, in order."""

    def __init__(self, node: Any, hands: Executor) -> None:
        self._node, self._hands = node, hands
        self._wanted: dict[str, bool] = {}
        self._outputs: dict[str, Any] = {}

    def open_output(self, topic: str, *, is_video: bool) -> None:
        """Get ready to publish on a room's topic."""
        self._wanted[topic] = is_video
        self._later(lambda: self._settle(topic))

    def close_output(self, topic: str) -> None:
        """Publish there no more."""
        self._wanted.pop(topic, None)
        self._later(lambda: self._settle(topic))

    def _later(self, work: Callable[[], None]) -> None:
        # The node's end takes every endpoint along, so that nothing is left to do after it.
        with contextlib.suppress(RuntimeError):
            self._hands.submit(work)

    def _settle(self, topic: str) -> None:
        is_video = self._wanted.get(topic)
        made = self._outputs.get(topic)
        if is_video is None and made is not None:
            self._node.destroy_publisher(self._outputs.pop(topic))
        elif is_video is not None and made is None:
            self._outputs[topic] = (
                self._node.create_publisher(convert.CompressedImage, topics.compressed(topic), qos.SENSOR)
                if is_video
                else self._node.create_publisher(convert.own.RoomJoints, topic, qos.STREAM)
            )

    def publish_joints(self, topic: str, joints: RoomJoints) -> None:
        """Say what a client or the API said."""
        publisher = self._outputs.get(topic)
        if publisher is not None and topic in self._wanted:
            publisher.publish(convert.to_msg(joints))

    def publish_jpeg(self, topic: str, jpeg: bytes, stamp_ns: int) -> None:
        """Show a client's picture, if anybody looks."""
        publisher = self._outputs.get(topic)
        if publisher is None or topic not in self._wanted or not publisher.get_subscription_count():
            return
        message = convert.CompressedImage(format="jpeg", data=array("B", jpeg))
        message.header.stamp = convert.stamp_to_msg(stamp_ns)
        publisher.publish(message)

    def open_joints(
        self, topic: str, on_joints: Callable[[RoomJoints], None], *, is_arm: bool
    ) -> Callable[[], None]:
        """Deliver a room's RoomJoints, or an arm's JointState, in the spin thread."""
        opened: list[Any] = []
        is_open = True

        def on_message(message: Any) -> None:
            if is_open:
                on_joints(_from_state(message) if is_arm else convert.from_msg(RoomJoints, message))

        def subscribe() -> None:
            if is_open:
                kind = convert.JointState if is_arm else convert.own.RoomJoints
                opened.append(self._node.create_subscription(kind, topic, on_message, qos.SENSOR))

        def unsubscribe() -> None:
            for subscription in opened:
                self._node.destroy_subscription(subscription)

        def close() -> None:
            nonlocal is_open
            is_open = False
            self._later(unsubscribe)

        self._later(subscribe)
        return close

    async def foreign_publishers(self, topics: Iterable[str]) -> dict[str, int]:
        """How many nodes other than ours publish on each topic, raw or compressed."""
        return await asyncio.to_thread(self._count, list(topics))

    def _count(self, names: list[str]) -> dict[str, int]:
        return {
            name: len(
                {
                    (end.node_namespace, end.node_name)
                    for spelling in (name, topics.compressed(name))
                    for end in self._node.get_publishers_info_by_topic(spelling)
                    if end.node_name not in _OURS
                }
            )
            for name in names
        }


def _from_state(message: Any) -> RoomJoints:
    """An arm's sensor_msgs/JointState; lengths are checked by whoever hears it."""
    return RoomJoints(
        tuple(message.name),
        tuple(message.position),
        RADIANS,
        stamp_ns=convert.stamp_ns_of(message.header.stamp),
    )
