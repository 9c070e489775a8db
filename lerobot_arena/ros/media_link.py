# SPDX-License-Identifier: Apache-2.0
"""MediaSignals over ROS: both ends, the bridge's with what it has to know of the other one's life."""

import time
import uuid
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lerobot_arena.core import topics
from lerobot_arena.core.room import BEAT_TIMEOUT_S, STATE, MediaSignal
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.aio import into_loop


class SignalPort:
    """Sends signals on one topic, numbered, and delivers those of another to `on_signal`, in the spin thread."""

    def __init__(
        self, node: Any, *, says_on: str, hears_on: str, on_signal: Callable[[MediaSignal], None]
    ) -> None:
        self._node, self._sequence, self._boot_id = node, 0, uuid.uuid4().hex
        self._publisher = node.create_publisher(convert.own.MediaSignal, says_on, qos.SIGNAL)
        self._subscription = node.create_subscription(
            convert.own.MediaSignal,
            hears_on,
            lambda message: on_signal(convert.from_msg(MediaSignal, message)),
            qos.SIGNAL,
        )

    def send(self, signal: MediaSignal) -> None:
        """Publish."""
        self._sequence += 1
        numbered = replace(signal, sequence=self._sequence, boot_id=self._boot_id)
        self._publisher.publish(convert.to_msg(numbered))

    def destroy(self) -> None:
        """Neither say nor hear any more."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_publisher(self._publisher)


class MediaLinkOverRos:
    """The bridge's end (rooms.ports.MediaLink). Everything but the delivery from ROS happens on the event loop."""

    def __init__(self, node: Any, loop: AbstractEventLoop) -> None:
        self._listener: Callable[[MediaSignal], None] = lambda signal: None
        self._beat_s, self._boot_id, self._beats = float("-inf"), "", 0
        self._port = SignalPort(
            node,
            says_on=topics.MEDIA_REQUESTS,
            hears_on=topics.MEDIA_EVENTS,
            on_signal=into_loop(loop, self._on_signal),
        )

    @property
    def is_there(self) -> bool:
        """The media process lives and hears us."""
        return self._beats > 1 and time.monotonic() - self._beat_s < BEAT_TIMEOUT_S

    def send(self, signal: MediaSignal) -> None:
        """Hand on, never waiting."""
        self._port.send(signal)

    def listen(self, listener: Callable[[MediaSignal], None]) -> None:
        """Call `listener` with each signal, beats too, from now on."""
        self._listener = listener

    def _on_signal(self, signal: MediaSignal) -> None:
        if signal.boot_id != self._boot_id:
            self._boot_id, self._beats = signal.boot_id, 0
        if signal.kind == STATE and not signal.room_topic:
            self._beats += 1
            self._beat_s = time.monotonic()
        # A new process is spoken of a beat later: by then its subscription has been found by ours as well.
        if self._beats > 1:
            self._listener(signal)
