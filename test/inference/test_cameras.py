# SPDX-License-Identifier: Apache-2.0
"""One subscription per topic, of the form that is published; gaps are counted."""

from collections.abc import Callable, Mapping
from typing import Any

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.inference.cameras import CameraFeeds, Frame, LossCounter


class Raw:
    """Stands for sensor_msgs/Image."""


class Packed:
    """Stands for sensor_msgs/CompressedImage."""


class Bus:
    """Topics as a dict; what is not subscribed is not delivered."""

    def __init__(self) -> None:
        self.subscribed: dict[str, Callable[[bytes, Mapping[str, Any]], None]] = {}
        self.frames: list[Frame] = []
        self.clock = ManualClock()
        kinds = {Raw: "", Packed: "/compressed"}
        self.feeds = CameraFeeds(self._listen, self.subscribed.pop, kinds, self.clock, self.frames.append)

    def _listen(self, kind: type, topic: str, callback: Callable[[bytes, Mapping[str, Any]], None]) -> str:
        assert topic not in self.subscribed
        self.subscribed[topic] = callback
        return topic

    def publish(self, topic: str, data: bytes, sequence: int | None = None) -> None:
        if topic in self.subscribed:
            self.subscribed[topic](data, {"publication_sequence_number": sequence})


def test_the_form_that_delivers_first_is_kept_until_it_falls_silent() -> None:
    bus = Bus()
    bus.feeds.follow({("/cam", "s", "front")})
    assert set(bus.subscribed) == {"/cam", "/cam/compressed"}
    bus.publish("/cam/compressed", b"jpeg")
    assert set(bus.subscribed) == {"/cam/compressed"}
    bus.publish("/cam", b"raw")
    assert [(frame.kind, frame.data) for frame in bus.frames] == [(Packed, b"jpeg")]
    bus.clock.advance(1.9)
    bus.feeds.look()
    assert set(bus.subscribed) == {"/cam/compressed"}
    bus.clock.advance(0.2)
    bus.feeds.look()
    assert set(bus.subscribed) == {"/cam", "/cam/compressed"}
    bus.publish("/cam", b"raw")
    assert set(bus.subscribed) == {"/cam"}


def test_sessions_of_one_topic_share_its_subscription() -> None:
    bus = Bus()
    bus.feeds.follow({("/cam", "one", "front"), ("/cam", "two", "top")})
    bus.publish("/cam", b"raw")
    assert {(frame.session_id, frame.camera) for frame in bus.frames} == {("one", "front"), ("two", "top")}
    bus.feeds.follow({("/cam", "two", "top")})
    bus.publish("/cam", b"raw")
    assert bus.frames[-1].session_id == "two"
    assert len(bus.frames) == 3
    bus.feeds.close()
    assert bus.subscribed == {}


def test_gaps_are_losses_and_a_new_publisher_is_none() -> None:
    bus = Bus()
    bus.feeds.follow({("/cam", "s", "front")})
    for sequence in (5, 6, 9, 10, 1, 2, 4):
        bus.publish("/cam", b"raw", sequence)
    assert [frame.lost for frame in bus.frames] == [0, 0, 2, 0, 0, 0, 1]


def test_unnumbered_messages_lose_nothing_that_is_known() -> None:
    counter = LossCounter()
    assert [counter.lost_before(number) for number in (1, None, 5, 7)] == [0, 0, 0, 1]
