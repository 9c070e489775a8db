# SPDX-License-Identifier: Apache-2.0
"""What inspection has on the ROS graph: taps on watched topics, service clients, parameters, and markers."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message

from lerobot_arena.core import topics
from lerobot_arena.core.errors import ArenaError, NotAnswering, Unavailable
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import GuardState
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.inspection.markers import shapes_of
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.message_types import message_class

_DEPTH, _LATCHED_DEPTH = 10, 100
_MARKERS = "visualization_msgs/msg/MarkerArray"
_CONFIGS_KEPT = 4
_NEW_NODES = 2
_SETTLED_S = 1.0


class Taps:
    """Raw subscriptions to exactly the topics somebody watches."""

    def __init__(self, node: Any, take: Callable[[str, bytes], None]) -> None:
        self._node, self._take = node, take
        self._open: dict[str, tuple[Any, QoSProfile]] = {}

    def follow(
        self, watched: Collection[str], types: Mapping[str, str], arrivals: Collection[str] = ()
    ) -> None:
        """Open what is watched and close the rest. A latched topic is opened anew for who has just arrived."""
        for topic in [topic for topic in self._open if topic not in watched]:
            self._close(topic)
        for topic in watched:
            if topic in types:
                self._open_as_offered(topic, types[topic], is_new=topic in arrivals)

    def close(self) -> None:
        """Close all."""
        self.follow((), {})

    def _open_as_offered(self, topic: str, type_name: str, *, is_new: bool) -> None:
        wanted = _matching(self._node.get_publishers_info_by_topic(topic))
        known = self._open.get(topic)
        is_latched = wanted.durability == DurabilityPolicy.TRANSIENT_LOCAL
        if known is not None and known[1] == wanted and not (is_new and is_latched):
            return
        self._close(topic)
        made = self._node.create_subscription(
            message_class(type_name), topic, partial(self._take, topic), wanted, raw=True
        )
        self._open[topic] = made, wanted

    def _close(self, topic: str) -> None:
        known = self._open.pop(topic, None)
        if known is not None:
            self._node.destroy_subscription(known[0])


def _matching(publishers: Iterable[Any]) -> QoSProfile:
    """As strict as every publisher allows; best effort, which matches any, while there is none."""
    offers = [info.qos_profile for info in publishers]

    def all_are(name: str, value: Any) -> bool:
        return bool(offers) and all(getattr(offer, name) == value for offer in offers)

    is_latched = all_are("durability", DurabilityPolicy.TRANSIENT_LOCAL)
    is_reliable = all_are("reliability", ReliabilityPolicy.RELIABLE)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_LATCHED_DEPTH if is_latched else _DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )


class Callers:
    """Clients of the Trigger services on offer. `call` runs on the caller's thread, the answer comes on the node's."""

    def __init__(self, node: Any, timeout_s: float) -> None:
        self._node, self._timeout_s = node, timeout_s
        self._clients: dict[str, Any] = {}
        self._estops: dict[str, Any] = {}

    def add(self, name: str) -> None:
        """Make a service callable."""
        self._clients[name] = self._node.create_client(convert.Trigger, name)
        if name.endswith(f"/{topics.ESTOP}"):
            self._estops[name] = self._node.create_publisher(convert.Empty, name, qos.EVENT)

    def remove(self, name: str) -> None:
        """Make it callable no more."""
        client = self._clients.pop(name, None)
        if client is not None:
            self._node.destroy_client(client)
        publisher = self._estops.pop(name, None)
        if publisher is not None:
            self._node.destroy_publisher(publisher)

    def close(self) -> None:
        """Remove all."""
        for name in list(self._clients):
            self.remove(name)

    def call(self, name: str) -> bytes:
        """The serialised response. Raises Unavailable when nobody serves it, NotAnswering after the time-out.

        An e-stop without an answer is sent as a topic message as well; nobody may count on it, so the error stands.
        """
        try:
            return self._ask(name)
        except ArenaError:
            if (publisher := self._estops.get(name)) is not None:
                publisher.publish(convert.Empty())
            raise

    def _ask(self, name: str) -> bytes:
        client = self._clients.get(name)
        if client is None or not client.service_is_ready():
            raise Unavailable(f"Nobody answers {name}: is that process running?")
        self._node.get_logger().info(f"A Foxglove client calls {name}.")
        answered = threading.Event()
        pending = client.call_async(convert.Trigger.Request())
        pending.add_done_callback(lambda _: answered.set())
        if not answered.wait(self._timeout_s):
            client.remove_pending_request(pending)
            raise NotAnswering(f"{name} did not answer within {self._timeout_s} s.")
        return bytes(serialize_message(pending.result()))


class ParameterBook:
    """`/node.parameter` → value of every node that tells, once somebody has asked.

    Each node is asked once: ours declare them read-only. Not before its answer can reach us: Fast DDS lets a server
    wait 100 ms for a client that it has not discovered yet, and no guard shall wait for us.
    """

    def __init__(self, node: Any, on_news: Callable[[Mapping[str, Any]], None]) -> None:
        self._node, self._on_news = node, on_news
        self._is_wanted = False
        self._of_node: dict[str, dict[str, Any]] = {}
        self._clients: dict[str, tuple[Any, Any]] = {}
        self._ready_s: dict[str, float] = {}
        self._asked: set[str] = set()

    def values(self) -> dict[str, Any]:
        """All that is known by now; may be called by any thread."""
        self._is_wanted = True
        return {name: value for mine in tuple(self._of_node.values()) for name, value in mine.items()}

    def look(self, now_s: float) -> None:
        """Forget nodes that have gone, and ask those that are new."""
        if not self._is_wanted:
            return
        names = {
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self._node.get_node_names_and_namespaces()
        }
        for gone in (self._of_node.keys() | self._clients.keys() | self._asked) - names:
            self._drop(gone)
            self._of_node.pop(gone, None)
            self._asked.discard(gone)
        for name in sorted(names - self._clients.keys() - self._asked)[:_NEW_NODES]:
            self._clients[name] = (
                self._node.create_client(convert.ListParameters, f"{name}/list_parameters"),
                self._node.create_client(convert.GetParameters, f"{name}/get_parameters"),
            )
        for name in list(self._clients):
            self._ask(name, now_s)

    def _ask(self, name: str, now_s: float) -> None:
        listing, getting = self._clients[name]
        if name in self._of_node:
            self._drop(name)
            return
        if name in self._asked or not (listing.service_is_ready() and getting.service_is_ready()):
            return
        if now_s - self._ready_s.setdefault(name, now_s) >= _SETTLED_S:
            self._asked.add(name)
            asked = listing.call_async(convert.ListParameters.Request())
            asked.add_done_callback(partial(self._on_names, name, getting))

    def close(self) -> None:
        """Ask nobody any more."""
        for name in list(self._clients):
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._ready_s.pop(name, None)
        for client in self._clients.pop(name, ()):
            self._node.destroy_client(client)

    def _on_names(self, name: str, getting: Any, done: Any) -> None:
        if name not in self._clients or done.result() is None:
            return
        names = list(done.result().result.names)
        answer = getting.call_async(convert.GetParameters.Request(names=names))
        answer.add_done_callback(partial(self._on_values, name, names))

    def _on_values(self, name: str, names: list[str], done: Any) -> None:
        if done.result() is None:
            return
        found = {
            f"{name}.{key}": _plain(parameter_value_to_python(value))
            for key, value in zip(names, done.result().values)
        }
        self._of_node[name] = {key: value for key, value in found.items() if value is not None}
        self._on_news(self._of_node[name])


def _plain(value: Any) -> Any:
    """As JSON has it; None for bytes and what is not set."""
    if isinstance(value, bool | int | float | str):
        return value
    if value is None or isinstance(value, bytes) or (len(value) and isinstance(value[0], bytes)):
        return None
    return list(value)


class BoundaryMarkers:
    """The boundaries of one arm as `guard/markers`, latched. Reads the guard only while somebody looks at them."""

    def __init__(self, node: Any, arm: str, *, robot: RobotSpec | None, frame: str) -> None:
        self._node, self._arm, self._robot, self._frame = node, arm, robot, frame
        self._publisher = node.create_publisher(
            message_class(_MARKERS), topics.on_arm(arm, topics.GUARD_MARKERS), qos.LATCHED
        )
        self._subscriptions: list[Any] = []
        self._configs: dict[int, GuardConfig] = {}
        self._state: GuardState | None = None
        self._shown: tuple[Any, ...] | None = None

    def look(self) -> None:
        """Begin or cease to read the guard, as somebody looks."""
        is_watched = self._publisher.get_subscription_count() > 0
        if is_watched and not self._subscriptions:
            self._configs = {0: shipped_config()}
            self._subscriptions = [
                self._listen(GuardState, topics.on_arm(self._arm, topics.GUARD_STATE), self._on_state),
                self._listen(GuardConfig, topics.GUARD_CONFIG, self._on_config),
            ]
        elif not is_watched and self._subscriptions:
            self._cease()

    def close(self) -> None:
        """Show nothing any more."""
        self._cease()
        self._node.destroy_publisher(self._publisher)

    def _cease(self) -> None:
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())
        self._state, self._shown = None, None

    def _listen(self, value_type: type, topic: str, take: Callable[[Any], None]) -> Any:
        def on_message(message: Any) -> None:
            take(convert.from_msg(value_type, message))
            self._show()

        kind = getattr(convert.own, value_type.__name__)
        return self._node.create_subscription(kind, topic, on_message, qos.LATCHED)

    def _on_state(self, state: GuardState) -> None:
        self._state = state

    def _on_config(self, config: GuardConfig) -> None:
        self._configs[config.version] = config
        _, *later = sorted(self._configs)
        for version in later[:-_CONFIGS_KEPT]:
            del self._configs[version]

    def _show(self) -> None:
        state = self._state
        config = self._configs.get(state.config_version) if state is not None else None
        if state is None or config is None:
            return
        now = state.config_version, state.active_boundaries
        if now == self._shown:
            return
        self._shown = now
        try:
            shapes = shapes_of(config, state.active_boundaries, robot=self._robot)
        except ArenaError as error:
            self._node.get_logger().warning(f"The boundaries of {self._arm!r} cannot be drawn: {error}")
            return
        self._publisher.publish(convert.markers_to_msg(shapes, self._frame, time.time_ns()))
