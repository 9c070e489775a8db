# SPDX-License-Identifier: Apache-2.0
"""One question to the embodiment, answered once and truthfully: by it, or by the end of our patience."""

import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 1.0


class SinkCall:
    """A Trigger service call that nobody waits for; `tell` hears in one line what became of it.

    `client` is an rclpy client. `look` has to be called now and then.
    """

    def __init__(self, client: Any, request: Any, verb: str, tell: Callable[[str], None]) -> None:
        self._client, self._verb, self._tell = client, verb, tell
        self._deadline_s = time.monotonic() + PATIENCE_S
        self._lock = threading.Lock()
        self._is_open = True
        self._future: Any = None
        if client.service_is_ready():
            self._future = client.call_async(request)
            self._future.add_done_callback(self._on_done)
        else:
            self._settle(f"no answer to {verb}: nobody serves {client.srv_name}")

    def _on_done(self, future: Any) -> None:
        if future.exception() is not None:
            self._settle(f"no answer to {self._verb}: {future.exception()}")
        elif future.result().success:
            self._settle(f"acknowledged: {future.result().message or self._verb}")
        else:
            self._settle(f"refused {self._verb}: {future.result().message}")

    def _settle(self, text: str) -> None:
        with self._lock:
            was_open, self._is_open = self._is_open, False
        if was_open:
            self._tell(text)

    def look(self) -> None:
        """Give up on an answer that is overdue."""
        if self._is_open and time.monotonic() > self._deadline_s:
            self._client.remove_pending_request(self._future)
            self._settle(f"no answer to {self._verb} within {PATIENCE_S:g} s")
