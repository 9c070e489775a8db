# SPDX-License-Identifier: Apache-2.0
"""Rooms as ROS topics, for the media process: pictures of clients out, cameras in."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lerobot_arena.core import topics
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.rooms.recovery import Picture
from lerobot_arena.rooms.video_config import LARGEST_HEIGHT, LARGEST_WIDTH
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.aio import into_loop
from lerobot_arena.ros.cdr import frame_from_serialised

_log = logging.getLogger(__name__)
_LARGEST_PIXELS = 4 * LARGEST_WIDTH * LARGEST_HEIGHT


class Camera:
    """A topic's pictures, raw and compressed, to one listener: the newest only, unpacked in `pool`."""

    def __init__(
        self,
        node: Any,
        topic: str,
        deliver: Callable[[Picture], None],
        *,
        pool: ThreadPoolExecutor,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._node, self._topic, self._pool, self._deliver = node, topic, pool, deliver
        self._in_loop, self._is_open = into_loop(loop, self._flush), True
        self._lock = threading.Lock()
        self._newest: tuple[bytes, type] | None = None
        self._unpacked: Picture | None = None
        self._is_busy = self._has_failed = False
        self._subscriptions = [
            node.create_subscription(
                kind, name, lambda raw, kind=kind: self._on_raw(raw, kind), qos.CAMERA_SUBSCRIBER, raw=True
            )
            for kind, name in ((convert.Image, topic), (convert.CompressedImage, topics.compressed(topic)))
        ]

    def _on_raw(self, raw: bytes, kind: type) -> None:
        with self._lock:
            self._newest = raw, kind
            if self._is_busy:
                return
            self._is_busy = True
        self._pool.submit(self._unpack)

    def _unpack(self) -> None:
        while True:
            with self._lock:
                newest, self._newest = self._newest, None
                if newest is None:
                    self._is_busy = False
                    return
            try:
                frame = frame_from_serialised(newest[0], newest[1], self._topic, 0)
                if frame.image.shape[0] * frame.image.shape[1] <= _LARGEST_PIXELS:
                    self._hand_on(frame.image)
            except InvalidInput as error:
                if not self._has_failed:
                    # Once: a camera of an unknown encoding fails with every frame.
                    self._has_failed = True
                    _log.warning("No pictures of %s: %s", self._topic, error)

    def _hand_on(self, picture: Picture) -> None:
        with self._lock:
            is_first, self._unpacked = self._unpacked is None, picture
        if is_first:
            self._in_loop()

    def _flush(self) -> None:
        with self._lock:
            picture, self._unpacked = self._unpacked, None
        if picture is not None and self._is_open:
            self._deliver(picture)

    def destroy(self) -> None:
        """Unsubscribe."""
        self._is_open = False
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


class PictureTopicsOverRos:
    """rooms.media_shape.PictureTopics. Methods are called on the event loop, `publish` in any thread."""

    def __init__(self, node: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._node, self._loop = node, loop
        self._publishers: dict[str, Any] = {}
        self._followed: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="cameras")

    def advertise(self, topic: str, is_wanted: bool) -> None:
        """Get ready to publish, or cease."""
        if is_wanted and topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(convert.Image, topic, qos.SENSOR)
        elif not is_wanted and topic in self._publishers:
            self._node.destroy_publisher(self._publishers.pop(topic))

    def publish(self, topic: str, picture: Picture, stamp_ns: int) -> None:
        """Show a client's picture as Image, if anybody listens."""
        publisher = self._publishers.get(topic)
        if publisher is None or publisher.get_subscription_count() == 0:
            return
        frame = CameraFrame("room", picture, stamp_ns, time.monotonic_ns())
        publisher.publish(convert.frame_to_image(frame))

    def subscribers(self, topic: str) -> int:
        """Others that listen to the topic."""
        return int(self._node.count_subscribers(topic)) - self._followed.get(topic, 0)

    def publishers(self, topic: str) -> int:
        """Others that publish there, raw or compressed."""
        own = 1 if topic in self._publishers else 0
        raw = int(self._node.count_publishers(topic)) - own
        return max(0, raw) + int(self._node.count_publishers(topics.compressed(topic)))

    def follow(self, topic: str, on_picture: Callable[[Picture], None]) -> Callable[[], None]:
        """Deliver a topic's pictures on the event loop."""
        self._followed[topic] = self._followed.get(topic, 0) + 1
        camera = Camera(self._node, topic, on_picture, pool=self._pool, loop=self._loop)

        def unfollow() -> None:
            self._followed[topic] -= 1
            camera.destroy()

        return unfollow

    def close(self) -> None:
        """Give everything back."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for topic in list(self._publishers):
            self.advertise(topic, False)
