# SPDX-License-Identifier: Apache-2.0
"""How a node of this package lives: a lifecycle base class, and the process around it.

A node overrides `set_up`, `start`, `stop` and `tear_down`; each may find the work of the earlier ones half done.
SIGINT and SIGTERM end the spin, then `stop` and `tear_down` run while publishing still works, and the process exits 0.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from lerobot_arena.core.errors import ArenaError
from lerobot_arena.ros.declare import declare

Return = TransitionCallbackReturn


class ArenaNode(LifecycleNode):
    """The one lifecycle base. `params` holds the declared `params_type`."""

    params_type: ClassVar[type]

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.params: Any = declare(self, self.params_type)
        self.autostart = bool(self.declare_parameter("autostart", True).value)

    @property
    def arm(self) -> str:
        """The namespace without slashes at its ends."""
        return self.get_namespace().strip("/")

    def set_up(self) -> None:
        """Load, and create publishers and subscriptions. Raises ArenaError: the node stays unconfigured."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """Cease to work; the arm holds."""

    def tear_down(self) -> None:
        """Free everything."""

    def _step(
        self, step: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        try:
            step()
        except ArenaError as error:
            self.get_logger().error(str(error))
        except Exception as error:  # rclpy would turn it into a silent transition to ERROR
            self.get_logger().fatal(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        else:
            return Return.SUCCESS
        if undo is not None:
            self.attempt(undo)
        return Return.FAILURE

    def attempt(self, step: Callable[[], None]) -> None:
        """Run a step of taking down, which may find a set-up half done; what it raises is logged, not passed on."""
        try:
            step()
        except Exception as error:
            self.get_logger().warning(f"While taking down: {type(error).__name__}: {error}")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._step(self.set_up, self.tear_down)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        return self._step(self.start, self.stop)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_deactivate(state)
        return self._step(self.stop)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._step(self.tear_down)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.stop()
        return self._step(self.tear_down)


def begin(node: ArenaNode) -> bool:
    """Configure and activate; False when a step refused, which it has logged."""
    return (
        node.trigger_configure() == Return.SUCCESS and node.trigger_activate() == Return.SUCCESS
        if node.autostart
        else True
    )


class SpinThread:
    """Spins a node beside another main loop. `on_death` hears when the thread ends without being asked."""

    def __init__(self, node: Any, on_death: Callable[[str], None]) -> None:
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._ending = threading.Event()
        self._on_death = on_death
        self._thread = threading.Thread(target=self._spin, name="ros-spin", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            while not self._ending.is_set():
                self._executor.spin_once(timeout_sec=0.2)
        except BaseException as error:
            if not self._ending.is_set():
                self._on_death(f"The ROS thread died: {type(error).__name__}: {error}")
            raise

    def end(self) -> None:
        """Stop spinning and wait for the thread. One that hangs keeps its executor: freeing it would be a crash."""
        self._ending.set()
        self._executor.wake()
        self._thread.join(timeout=2.0)
        if not self._thread.is_alive():
            self._executor.shutdown(timeout_sec=1.0)


def init_ros(args: list[str] | None = None) -> None:
    """rclpy.init without its signal handlers, and an ament index that knows this environment."""
    paths = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    if sys.prefix not in paths:
        os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join([*filter(None, paths), sys.prefix])
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)


def quiet_executor() -> Any:
    """rclpy's EventsExecutor, which holds the interpreter only while there is work: other threads keep their time.

    The usual one rebuilds its wait set in Python for every message. An rclpy without it gives the usual one.
    """
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def run_node(
    make_node: Callable[[], ArenaNode], *, make_executor: Callable[[], Any] = SingleThreadedExecutor
) -> int:
    """Process of one node: build, configure, activate, spin until a signal; returns the exit code."""
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    init_ros(sys.argv)
    node: ArenaNode | None = None
    try:
        node = make_node()
        if not begin(node):
            return 2
        executor = make_executor()
        executor.add_node(node)
        while not asked_to_end.is_set():
            executor.spin_once(timeout_sec=0.2)
        executor.shutdown(timeout_sec=1.0)
        return 0
    except ArenaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        if node is not None:
            node.attempt(node.stop)
            node.attempt(node.tear_down)
            node.destroy_node()
        rclpy.try_shutdown()
