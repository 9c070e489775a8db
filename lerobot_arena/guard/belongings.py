# SPDX-License-Identifier: Apache-2.0
"""What was made on a ROS node, so that all of it can be taken down again."""

from collections.abc import Callable
from typing import Any


class Belongings:
    """Publishers, subscriptions, services, clients and timers of one owner on `node` (an rclpy node)."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._made: list[tuple[Callable[[Any], Any], Any]] = []

    def _keep(self, made: Any, destroy: Callable[[Any], Any]) -> Any:
        self._made.append((destroy, made))
        return made

    def publisher(self, message_type: type, topic: str, profile: Any) -> Any:
        made = self._node.create_publisher(message_type, topic, profile)
        return self._keep(made, self._node.destroy_publisher)

    def subscription(
        self, message_type: type, topic: str, callback: Callable[[Any], Any], profile: Any
    ) -> Any:
        made = self._node.create_subscription(message_type, topic, callback, profile)
        return self._keep(made, self._node.destroy_subscription)

    def service(self, service_type: type, name: str, callback: Callable[[Any, Any], Any]) -> Any:
        return self._keep(self._node.create_service(service_type, name, callback), self._node.destroy_service)

    def client(self, service_type: type, name: str) -> Any:
        return self._keep(self._node.create_client(service_type, name), self._node.destroy_client)

    def timer(self, period_s: float, callback: Callable[[], Any]) -> Any:
        return self._keep(self._node.create_timer(period_s, callback), self._node.destroy_timer)

    def clear(self) -> None:
        """Destroy everything, the latest first."""
        while self._made:
            destroy, made = self._made.pop()
            destroy(made)
