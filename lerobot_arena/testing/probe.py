# SPDX-License-Identifier: Apache-2.0
"""A test's own end of the topics it watches."""

import threading
import time
from typing import Any


def published_at(stamp_ns: int) -> float:
    """When a process of this machine stamped a message, on our steady clock.

    A busy machine lets messages wait, so that arrival tells nothing of the order in which others acted.
    """
    return time.monotonic() - (time.time_ns() - stamp_ns) / 1e9


class Probe:
    """A node in a ROS context of its own, spun by a thread of its own: callbacks come on that thread.

    Create publishers and subscriptions on `node` first, then `start`. `domain` None means ROS_DOMAIN_ID.
    """

    def __init__(self, name: str, *, domain: int | None = None) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node: Any = rclpy.create_node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._spin, name=f"probe-{name}", daemon=True)

    def start(self) -> None:
        """Begin to call back."""
        self._thread.start()

    def _spin(self) -> None:
        while not self._ending.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        """End thread, node and context; may be called without `start`."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(60.0)
            assert not self._thread.is_alive(), (
                "what it waits on must not go before it: the process would end"
            )
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()
