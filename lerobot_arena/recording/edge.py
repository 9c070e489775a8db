# SPDX-License-Identifier: Apache-2.0
"""What of the ROS graph is recorded: raw subscriptions, opened as publishers appear. Callbacks only pass bytes on."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.session import SessionsWanted
from lerobot_arena.recording.names import COMPRESSED_IMAGE, IMAGE_TYPES, Belonging, base_of, recorded_as
from lerobot_arena.recording.qos import OfferedQos, qos_yaml
from lerobot_arena.recording.queue import Topic
from lerobot_arena.recording.schemas import definition_of
from lerobot_arena.ros.message_types import message_class

_DEPTH, _IMAGE_DEPTH = 100, 4
_RELIABLE, _LATCHED = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL


def belonging_of(wanted: SessionsWanted, arm: str) -> Belonging:
    """The cameras and rooms of the arm's sessions."""
    cameras: dict[str, str] = {}
    rooms: set[str] = set()
    for session in wanted.sessions:
        if session.arm == arm:
            cameras |= dict(zip(session.camera_topics, session.camera_names, strict=False))
            rooms |= {session.joint_input_topic, session.joint_output_topic} - {""}
    return Belonging(cameras, frozenset(rooms))


class Ears:
    """The recorder's subscriptions."""

    def __init__(
        self, node: Any, arm: str, take: Callable[[Topic, bytes], None], *, with_images: bool
    ) -> None:
        self._node, self._arm, self._take, self._with_images = node, arm, take, with_images
        self._open: dict[str, Any] = {}
        self._bases: set[str] = set()
        self.belonging = Belonging()
        self.skipped: dict[str, str] = {}

    @property
    def topic_count(self) -> int:
        """Topics that are subscribed."""
        return len(self._open)

    def look(self) -> None:
        """Subscribe to what has appeared since the last look."""
        graph = self._node.get_topic_names_and_types()
        # A compressed twin costs nobody an encoding: it is preferred to the raw topic beside it.
        for topic, types in sorted(graph, key=lambda entry: COMPRESSED_IMAGE not in entry[1]):
            if topic not in self._open and len(types) == 1:
                self._consider(topic, types[0])

    def _consider(self, topic: str, type_name: str) -> None:
        name = recorded_as(topic, type_name, self._arm, self.belonging)
        is_image = type_name in IMAGE_TYPES
        if not name or (is_image and (not self._with_images or base_of(topic) in self._bases)):
            return
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]
        if not offers:
            return
        try:
            definition_of(type_name)
            kind = message_class(type_name)
        except NotFound as error:
            self.skipped[topic] = str(error)
            return
        recorded = Topic(name, type_name, qos_yaml(tuple(map(_offered, offers))))
        self._open[topic] = self._node.create_subscription(
            kind, topic, partial(self._take, recorded), _matching(offers, is_image=is_image), raw=True
        )
        if is_image:
            self._bases.add(base_of(topic))

    def close(self) -> None:
        """Unsubscribe from everything."""
        for subscription in self._open.values():
            self._node.destroy_subscription(subscription)
        self._open.clear()
        self._bases.clear()
        self.skipped = {}


def _matching(offers: Iterable[Any], *, is_image: bool) -> QoSProfile:
    """As strict as every publisher allows, like `ros2 bag record`."""
    offers = list(offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_IMAGE_DEPTH if is_image else _DEPTH,
        reliability=_RELIABLE
        if all(offer.reliability == _RELIABLE for offer in offers)
        else ReliabilityPolicy.BEST_EFFORT,
        durability=_LATCHED
        if all(offer.durability == _LATCHED for offer in offers)
        else DurabilityPolicy.VOLATILE,
    )


def _offered(offer: Any) -> OfferedQos:
    return OfferedQos(
        reliability=offer.reliability.name.lower(),
        durability=offer.durability.name.lower(),
        history=offer.history.name.lower(),
        depth=offer.depth,
        deadline_ns=offer.deadline.nanoseconds,
        lifespan_ns=offer.lifespan.nanoseconds,
        liveliness=offer.liveliness.name.lower(),
        lease_ns=offer.liveliness_lease_duration.nanoseconds,
    )
