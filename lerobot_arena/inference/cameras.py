# SPDX-License-Identifier: Apache-2.0
"""Camera topics of all sessions: one subscription per topic, whichever of its two forms is published.

Both forms of an image topic are listened to until one delivers; then only that one, so that a publisher that offers
both need not compress for nobody. After a silence both are listened to again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lerobot_arena.core.clock import Clock, seconds_between

SILENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A serialised image for one session; `lost` is how many its publisher sent since the one before."""

    session_id: str
    camera: str
    kind: type
    data: bytes
    lost: int


class LossCounter:
    """Gaps in a publisher's sequence numbers; a smaller number is a new publisher."""

    def __init__(self) -> None:
        self._last: int | None = None

    def lost_before(self, sequence: int | None) -> int:
        """Messages missing between the previous one and this; 0 where the middleware numbers nothing."""
        last, self._last = self._last, sequence
        if sequence is None or last is None or sequence <= last:
            return 0
        return sequence - last - 1


class CameraFeeds:
    """`listen(kind, topic, callback)` makes a raw subscription, `unlisten` ends it; `kinds` is type → topic suffix."""

    def __init__(
        self,
        listen: Callable[[type, str, Callable[[bytes, Mapping[str, Any]], None]], Any],
        unlisten: Callable[[Any], None],
        kinds: Mapping[type, str],
        clock: Clock,
        on_frame: Callable[[Frame], None],
    ) -> None:
        self._listen, self._unlisten, self._kinds = listen, unlisten, dict(kinds)
        self._clock, self._on_frame = clock, on_frame
        self._topics: dict[str, _Topic] = {}

    def follow(self, wanted: set[tuple[str, str, str]]) -> None:
        """Listen to exactly these (topic, session id, camera)."""
        users: dict[str, set[tuple[str, str]]] = {}
        for topic, session_id, camera in wanted:
            users.setdefault(topic, set()).add((session_id, camera))
        for topic in set(self._topics) - set(users):
            self._topics.pop(topic).close()
        for topic, whose in users.items():
            if topic not in self._topics:
                self._topics[topic] = _Topic(self, topic)
            self._topics[topic].users = whose

    def look(self) -> None:
        """Call now and then: listens to both forms of a silent topic again."""
        for topic in self._topics.values():
            topic.look()

    def close(self) -> None:
        """Listen to nothing."""
        self.follow(set())


class _Topic:
    def __init__(self, feeds: CameraFeeds, topic: str) -> None:
        self._feeds, self._topic = feeds, topic
        self.users: set[tuple[str, str]] = set()
        self._subscriptions: dict[type, Any] = {}
        self._loss = LossCounter()
        self._heard_ns = 0
        self._listen_to_all()

    def _listen_to_all(self) -> None:
        feeds = self._feeds
        for kind, suffix in feeds._kinds.items():
            if kind not in self._subscriptions:
                callback = partial(self._on_message, kind)
                self._subscriptions[kind] = feeds._listen(kind, self._topic + suffix, callback)

    def _on_message(self, kind: type, data: bytes, info: Mapping[str, Any]) -> None:
        if kind not in self._subscriptions:
            return
        self._heard_ns = self._feeds._clock.steady_ns()
        for other in [other for other in self._subscriptions if other is not kind]:
            self._feeds._unlisten(self._subscriptions.pop(other))
            self._loss = LossCounter()
        lost = self._loss.lost_before(info.get("publication_sequence_number"))
        for session_id, camera in self.users:
            self._feeds._on_frame(Frame(session_id, camera, kind, data, lost))

    def look(self) -> None:
        if seconds_between(self._heard_ns, self._feeds._clock.steady_ns()) > SILENCE_S:
            self._listen_to_all()

    def close(self) -> None:
        for subscription in self._subscriptions.values():
            self._feeds._unlisten(subscription)
        self._subscriptions.clear()
