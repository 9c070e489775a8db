# SPDX-License-Identifier: Apache-2.0
"""The bridge process: rclpy spins in a thread of its own, uvicorn and the event loop have the main thread."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import rclpy
from rclpy.serialization import deserialize_message

from lerobot_arena.bridge.accounts_desk import offer_first_admin
from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.edge import RoomTopicsOverRos
from lerobot_arena.bridge.feed import CycleFeed
from lerobot_arena.bridge.logs import LogEntry, RingLog
from lerobot_arena.bridge.params import BridgeParams
from lerobot_arena.bridge.ports import VERBS, Picture, VerbAnswer
from lerobot_arena.bridge.server import ending_signals, open_socket, serve, set_up_logging
from lerobot_arena.bridge.services import build_services
from lerobot_arena.bridge.settings import Settings, settings_from
from lerobot_arena.core import topics
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import ArenaError, Unavailable
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.session import (
    EmbodimentStatus,
    GuardState,
    SessionsStatus,
    SessionsWanted,
    TaskStatus,
)
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.aio import call_service, into_loop
from lerobot_arena.ros.host import ArenaNode, SpinThread, begin, init_ros
from lerobot_arena.ros.media_link import MediaLinkOverRos

_LOOK_FOR_ARMS_S = 1.0
# A client that was made a moment ago has not found its service yet.
_DISCOVERY_S = 1.0
_ESTOP_DISCOVERY_S = 0.3
_JPEG_START = b"\xff\xd8"
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


class Sinks(Protocol):
    """Where the node puts what it hears; `attach` says which."""

    board: Board
    feed: CycleFeed
    logs: RingLog


class _Arm:
    """What the node holds for one arm: subscriptions and service clients."""

    def __init__(self, node: "BridgeNode", arm: str) -> None:
        self._node = node
        self._is_followed = True
        board, here = node.board, node.in_loop

        def state(kind: type, callback: Callable[[Any], None]) -> Callable[[Any], None]:
            # What was on its way when the arm ended would bring it back.
            hand_on = here(lambda value: callback(value) if self._is_followed else None)
            return lambda message: hand_on(convert.from_msg(kind, message))

        def on_task(value: TaskStatus) -> None:
            board.on_task(arm, value)

        def on_recorder(status: str) -> None:
            if self._is_followed:
                board.on_recorder(arm, status)

        hear_recorder = here(on_recorder)

        def on_cycle(raw: bytes) -> None:
            if self._is_followed:
                node.feed.push(arm, raw)

        def subscribe(
            kind: Any, name: str, callback: Callable[..., None], profile: Any, *, raw: bool = False
        ) -> Any:
            return node.create_subscription(kind, topics.on_arm(arm, name), callback, profile, raw=raw)

        own = convert.own
        self._subscriptions = [
            subscribe(own.GuardState, topics.GUARD_STATE, state(GuardState, board.on_guard), qos.LATCHED),
            subscribe(
                own.EmbodimentStatus,
                topics.EMBODIMENT_STATUS,
                state(EmbodimentStatus, board.on_embodiment),
                qos.LATCHED,
            ),
            subscribe(own.TaskStatus, topics.TASK_STATUS, state(TaskStatus, on_task), qos.LATCHED),
            subscribe(
                convert.String,
                topics.RECORDER_STATUS,
                lambda message: hear_recorder(str(message.data)),
                qos.LATCHED,
            ),
            subscribe(own.Cycle, topics.CYCLE, on_cycle, qos.STREAM, raw=True),
        ]
        self.clients = {
            verb: node.create_client(convert.Trigger, topics.on_arm(arm, name))
            for verb, name in VERBS.items()
        }
        self.estop = node.create_publisher(convert.Empty, topics.on_arm(arm, topics.ESTOP), qos.EVENT)

    def destroy(self) -> None:
        self._is_followed = False
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for client in self.clients.values():
            self._node.destroy_client(client)
        self._node.destroy_publisher(self.estop)


class BridgeNode(ArenaNode):
    """The robot side as bridge/ports.py wants it. Callbacks run in the spin thread and only hand on."""

    params_type = BridgeParams
    params: BridgeParams
    board: Board
    feed: CycleFeed

    def __init__(self) -> None:
        super().__init__("bridge")
        self._arms: dict[str, _Arm] = {}
        self._virtual: set[str] = set()
        self._lock = threading.Lock()
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="endpoints")
        self.rooms = RoomTopicsOverRos(self, self._hands)
        self.media: MediaLinkOverRos

    def attach(self, sinks: Sinks, loop: asyncio.AbstractEventLoop) -> None:
        """Say where to put what is heard; before configuring."""
        self.board, self.feed, self._logs, self._loop = sinks.board, sinks.feed, sinks.logs, loop

    def open_media(self, loop: asyncio.AbstractEventLoop) -> None:
        """Get ready to talk to the media process; before the rooms are built."""
        self.media = MediaLinkOverRos(self, loop)

    def in_loop(self, callback: Callable[..., None]) -> Callable[..., None]:
        """A twin of `callback` for the spin thread."""
        return into_loop(self._loop, callback)

    def set_up(self) -> None:
        """Wanted sessions and boundaries out; what inference holds, and everybody's log, in."""
        self._wanted = self.create_publisher(convert.own.SessionsWanted, topics.WANTED, qos.LATCHED)
        self._config = self.create_publisher(convert.own.GuardConfig, topics.GUARD_CONFIG, qos.LATCHED)
        on_sessions = self.in_loop(self.board.on_sessions)
        self.create_subscription(
            convert.own.SessionsStatus,
            topics.SESSIONS,
            lambda message: on_sessions(convert.from_msg(SessionsStatus, message)),
            qos.LATCHED,
        )
        self.create_subscription(convert.Log, "/rosout", self._on_log, qos.EVENT)

    def start(self) -> None:
        """Look for arms from now on."""
        self._look_for_arms()
        self._timer = self.create_timer(_LOOK_FOR_ARMS_S, self._look_for_arms)

    def tear_down(self) -> None:
        """Follow nobody any more."""
        self._hands.shutdown(wait=True, cancel_futures=True)

    # ArmsLink

    def publish_wanted(self, wanted: SessionsWanted) -> None:
        """Latch the wanted sessions, and follow exactly their virtual arms."""
        virtual = {session.arm for session in wanted.sessions if session.is_virtual}
        with self._lock:
            gone = [arm for arm in self._arms if arm in self._virtual and arm not in virtual]
            self._virtual = virtual
        self._wanted.publish(convert.to_msg(wanted))
        # A dozen new DDS endpoints take tens of milliseconds; one thread keeps them in order.
        for arm in gone:
            self._hands.submit(self._unfollow, arm)
        for session in wanted.sessions:
            self._hands.submit(self._follow, session.arm)

    def publish_config(self, config: GuardConfig) -> None:
        """Latch the boundaries and tasks."""
        self._config.publish(convert.to_msg(config))

    async def call(self, arm: str, verb: str, *, timeout_s: float) -> VerbAnswer:
        """Call a Trigger service of an arm; an e-stop that gets no answer is sent as a topic message as well."""
        known = self._arms.get(arm)
        if known is None:
            raise Unavailable(f"Arm {arm!r} has not reported, so nothing can be asked of it.")
        client = known.clients[verb]
        try:
            await _until_found(client, _ESTOP_DISCOVERY_S if verb == "estop" else _DISCOVERY_S)
            answer = await call_service(client, convert.Trigger.Request(), timeout_s)
        except ArenaError:
            if verb == "estop":
                # Needs no answer and no discovered service; nobody may count on it, so the error stands.
                known.estop.publish(convert.Empty())
            raise
        return VerbAnswer(bool(answer.success), str(answer.message))

    def open_camera(self, topic: str, on_picture: Callable[[Picture], None]) -> Callable[[], None]:
        """Subscribe to an Image topic and its CompressedImage twin; messages stay packed."""

        def on_image(raw: bytes) -> None:
            def unpack() -> Any:
                return convert.frame_from_image(deserialize_message(raw, convert.Image), topic, 0).image

            on_picture(Picture(unpack=unpack))

        def on_compressed(message: Any) -> None:
            data = bytes(message.data)
            if data.startswith(_JPEG_START):
                on_picture(Picture(jpeg=data))
            else:
                on_picture(Picture(unpack=lambda: convert.frame_from_compressed(message, topic, 0).image))

        opened = [
            self.create_subscription(convert.Image, topic, on_image, qos.CAMERA_SUBSCRIBER, raw=True),
            self.create_subscription(
                convert.CompressedImage, topics.compressed(topic), on_compressed, qos.CAMERA_SUBSCRIBER
            ),
        ]

        def close() -> None:
            for subscription in opened:
                self.destroy_subscription(subscription)

        return close

    def decode_cycle(self, raw: Any) -> CycleRecord:
        """A serialised msg/Cycle as CycleRecord."""
        return convert.cycle_from_msg(deserialize_message(raw, convert.own.Cycle))

    def glance_cycle(self, raw: bytes) -> tuple[int, int]:
        """The first field and the fourth: bytes 4 and 7 of its serialised form (test/bridge/test_node.py compares)."""
        return (raw[4], raw[7]) if len(raw) > 7 else (0, 0)

    # The spin thread

    def _look_for_arms(self) -> None:
        """Follow every real arm that has a guard or an embodiment on the graph."""
        for topic, _ in self.get_topic_names_and_types():
            for name in (topics.GUARD_STATE, topics.EMBODIMENT_STATUS):
                arm = topic.removesuffix(f"/{name}").lstrip("/")
                if topic.endswith(f"/{name}") and arm and not arm.startswith("virtual/"):
                    self._follow(arm)

    def _follow(self, arm: str) -> None:
        with self._lock:
            if arm not in self._arms:
                self._arms[arm] = _Arm(self, arm)

    def _unfollow(self, arm: str) -> None:
        with self._lock:
            known = self._arms.pop(arm, None)
        if known is not None:
            known.destroy()
            self.in_loop(self.board.forget)(arm)
            self.feed.forget(arm)

    def _on_log(self, message: Any) -> None:
        stamp = message.stamp.sec + message.stamp.nanosec / 1e9
        level = _LEVELS.get(message.level, str(message.level))
        self._logs.add(LogEntry(stamp, level, str(message.name), str(message.msg)[:4000]))


async def _until_found(client: Any, patience_s: float) -> None:
    """Give a client that was made a moment ago the time to find its service; rclpy has no event for that."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while not client.service_is_ready() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def _serve(node: BridgeNode, settings: Settings, logs: RingLog) -> int:
    """Serve until a signal; 0 unless the ROS side died or refused to start."""
    loop, ending = asyncio.get_running_loop(), ending_signals()
    listener = open_socket(settings)
    board = Board()
    feed = CycleFeed(node.decode_cycle)
    node.open_media(loop)
    services = build_services(settings, node, board=board, feed=feed, logs=logs)
    node.attach(services, loop)
    if not begin(node):
        return 2
    deaths: list[str] = []

    def on_death(reason: str) -> None:
        deaths.append(reason)
        loop.call_soon_threadsafe(ending.set)

    spin = SpinThread(node, on_death)
    try:
        await services.open()
        await offer_first_admin(services.desk, settings, listener.getsockname()[1])
        app = create_app(services)
        app.openapi()  # holds the loop for a fifth of a second, and makes the routes: not while somebody waits
        await serve(app, listener, ending)
        await services.end_runs()
    finally:
        spin.end()
        node.stop()
        node.tear_down()
        await services.close()
    for reason in deaths:
        print(f"error: {reason}", file=sys.stderr, flush=True)
    return 1 if deaths else 0


def main() -> int:
    """Process of the bridge; returns its exit code."""
    logs = RingLog()
    set_up_logging(logs)
    init_ros(sys.argv)
    node: BridgeNode | None = None
    try:
        node = BridgeNode()
        return asyncio.run(_serve(node, settings_from(node.params), logs))
    except ArenaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
