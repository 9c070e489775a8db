# SPDX-License-Identifier: Apache-2.0
"""The inspection process: a Foxglove server over the ROS graph, and the boundaries of every arm as markers."""

import threading
import time
from typing import Any

from lerobot_arena.core import topics
from lerobot_arena.core.clock import NS, SystemClock
from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.robot import load_robot
from lerobot_arena.inspection.audience import Audience
from lerobot_arena.inspection.door import check_host
from lerobot_arena.inspection.edge import BoundaryMarkers, Callers, ParameterBook, Taps
from lerobot_arena.inspection.gate import Gate
from lerobot_arena.inspection.live import TRIGGER, LiveServer, Wiring
from lerobot_arena.inspection.offer import Change, Offer
from lerobot_arena.inspection.params import InspectionParams
from lerobot_arena.recording.schemas import definition_of
from lerobot_arena.ros.host import ArenaNode, quiet_executor, run_node
from lerobot_arena.ros.message_types import message_class

# What Foxglove may call, of any arm.
_VERBS = tuple(f"/{name}" for name in (*topics.GUARD_VERBS.values(), *topics.RECORDER_VERBS.values()))
_GUARD_STATE = f"/{topics.GUARD_STATE}"


class InspectionNode(ArenaNode):
    """Everything on the graph is made and destroyed by the spin thread; the server's threads only wake it."""

    params_type = InspectionParams
    params: InspectionParams

    def __init__(self) -> None:
        super().__init__("foxglove")
        self._steady = SystemClock()
        self._boards: dict[str, BoundaryMarkers] = {}
        self._parts: list[Any] = []
        self._made: list[Any] = []
        self._live: LiveServer | None = None
        self._gate: Gate | None = None

    def set_up(self) -> None:
        self._address = check_host(self.params.host), self.params.port
        self._robot = load_robot(self.params.robot)
        self._topics, self._verbs = Offer(self.params.linger_s), Offer(self.params.linger_s)
        self._unknown: set[str] = set()
        self._follow_soon = threading.Event()
        self._audience = Audience(self._wake)
        self._taps = Taps(self, self._send)
        self._callers = Callers(self, self.params.service_timeout_s)
        self._book = ParameterBook(self, self._on_parameters)
        self._parts = [self._taps, self._callers, self._book]

    def start(self) -> None:
        if self.params.foxglove:
            self._serve()
        self._look()
        self._made = [self.create_timer(self.params.look_s, self._look)]

    def _serve(self) -> None:
        wiring = Wiring(self._audience, self._book.values, self._callers.call)
        self._live = LiveServer("lerobot_arena", wiring, backlog=self.params.backlog)
        self._gate = Gate(
            self._address,
            (self._live.address, self._live.port),
            origins=self.params.origins,
            max_clients=self.params.max_clients,
            stall_s=self.params.stall_s,
            on_refusal=lambda why: self.get_logger().warning(f"A connection was ended: {why}"),
        )
        host, port = self._address[0], self._gate.port
        self.get_logger().info(f"Foxglove: open a connection to ws://{host}:{port}")

    def _wake(self) -> None:
        """Called by any thread: let the spin thread follow the audience, once for many changes."""
        executor = self.executor
        if executor is not None and not self._follow_soon.is_set():
            self._follow_soon.set()
            executor.create_task(self._follow)

    def stop(self) -> None:
        for timer in self._made:
            self.destroy_timer(timer)
        self._made = []
        if self._gate is not None:
            self._gate.close()
        if self._live is not None:
            self._live.stop()
        self._gate = self._live = None

    def tear_down(self) -> None:
        while self._parts:
            self._parts.pop().close()

    # The spin thread

    def _look(self) -> None:
        """Offer what has appeared on the graph, withdraw what has gone for good."""
        graph = self.get_topic_names_and_types()
        self._draw(graph)
        if self._live is None:
            return
        now_s = self._steady.steady_ns() / NS
        published = {
            name: types[0] for name, types in graph if len(types) == 1 and self.count_publishers(name) > 0
        }
        self._change_topics(self._topics.update(published, now_s))
        served = {
            name: TRIGGER
            for name, types in self.get_service_names_and_types()
            if types == [TRIGGER] and name.endswith(_VERBS)
        }
        self._change_services(self._verbs.update(served, now_s))
        self._book.look(now_s)
        self._follow()

    def _change_topics(self, change: Change) -> None:
        assert self._live is not None and self._gate is not None
        for name in change.withdrawn:
            self._live.withdraw(name)
        for name, type_name in change.offered.items():
            try:
                message_class(type_name)
                definition = definition_of(type_name)
                with self._gate.held():
                    self._live.offer(name, definition)
            except NotFound as error:
                self._topics.forget(name)
                if name not in self._unknown:
                    self._unknown.add(name)
                    self.get_logger().warning(f"{name} cannot be shown: {error}")

    def _change_services(self, change: Change) -> None:
        assert self._live is not None
        for name in change.withdrawn:
            self._live.withdraw_service(name)
            self._callers.remove(name)
        for name in change.offered:
            self._callers.add(name)
            self._live.offer_service(name)

    def _follow(self) -> None:
        self._follow_soon.clear()
        self._taps.follow(self._audience.watched(), self._topics.types, self._audience.arrivals())

    def _draw(self, graph: list[tuple[str, list[str]]]) -> None:
        for name, _ in graph:
            arm = name.removesuffix(_GUARD_STATE).lstrip("/")
            if name.endswith(_GUARD_STATE) and arm not in self._boards and not arm.startswith("virtual/"):
                board = BoundaryMarkers(self, arm, robot=self._robot, frame=self.params.frame)
                self._boards[arm] = board
                self._parts.append(board)
        for board in self._boards.values():
            board.look()

    def _send(self, topic: str, raw: bytes) -> None:
        if self._live is not None:
            self._live.log(topic, raw, time.time_ns())

    def _on_parameters(self, values: Any) -> None:
        if self._live is not None:
            self._live.show_parameters(values)


def main() -> None:
    """Entry of `python -m lerobot_arena.inspection.node` and of `ros2 run lerobot_arena inspection_node`."""
    raise SystemExit(run_node(InspectionNode, make_executor=quiet_executor))


if __name__ == "__main__":
    main()
