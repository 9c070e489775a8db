# SPDX-License-Identifier: Apache-2.0
"""Who watches which topic. Clients come and go on the server's threads; the ROS thread reads what follows from it."""

import threading
from collections.abc import Callable


class Audience:
    """Topic → clients. `on_change` is called, outside the lock, by the thread that brought the change."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._clients: dict[str, set[int]] = {}
        self._arrivals: set[str] = set()

    def enter(self, client: int, topic: str) -> None:
        """A client begins to watch."""
        with self._lock:
            self._clients.setdefault(topic, set()).add(client)
            self._arrivals.add(topic)
        self._on_change()

    def leave(self, client: int, topic: str) -> None:
        """A client ceases to watch; unknown ones are none."""
        with self._lock:
            clients = self._clients.get(topic, set())
            clients.discard(client)
            if not clients:
                self._clients.pop(topic, None)
        self._on_change()

    def watched(self) -> frozenset[str]:
        """Topics with at least one client."""
        with self._lock:
            return frozenset(self._clients)

    def arrivals(self) -> frozenset[str]:
        """Topics somebody has begun to watch since this was last asked."""
        with self._lock:
            found = frozenset(self._arrivals)
            self._arrivals.clear()
        return found
