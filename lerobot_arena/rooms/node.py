# SPDX-License-Identifier: Apache-2.0
"""The media process: WebRTC of video rooms. Foreign video is decoded here, and never where an e-stop is answered.

Its event loop has the main thread, rclpy spins in one of its own. When it dies, it alone dies: bringup starts it again,
and the bridge says every room anew.
"""

import asyncio
import logging
import os
import signal as signals
import sys
import time
from typing import Any

import psutil
import rclpy

from lerobot_arena.core import topics
from lerobot_arena.core.errors import ArenaError, Unavailable
from lerobot_arena.core.room import BEAT_PERIOD_S, STATE
from lerobot_arena.rooms.edge import PictureTopicsOverRos
from lerobot_arena.rooms.ice import SECRET_VARIABLE, host_addresses, ice_servers, port_range, with_passes
from lerobot_arena.rooms.media_hub import MediaHub
from lerobot_arena.rooms.media_wire import signal
from lerobot_arena.rooms.params import MediaParams
from lerobot_arena.rooms.webrtc_loop import MediaLoop
from lerobot_arena.rooms.webrtc_peer import PeerSettings
from lerobot_arena.ros.aio import into_loop
from lerobot_arena.ros.host import ArenaNode, SpinThread, begin, init_ros
from lerobot_arena.ros.media_link import SignalPort

_MEGABYTE = 1 << 20


class MediaNode(ArenaNode):
    """The ROS side. Callbacks run in the spin thread and only hand on."""

    params_type = MediaParams
    params: MediaParams

    def __init__(self) -> None:
        super().__init__("media")
        self._hub: MediaHub | None = None
        self._port: SignalPort | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop has the hub; before configuring."""
        self._loop = loop

    def set_up(self) -> None:
        params = self.params
        self._servers = ice_servers(params.ice_servers, os.environ)
        self._secret = os.environ.get(SECRET_VARIABLE, "")
        host_addresses(params.ice_addresses, ())
        self._topics = PictureTopicsOverRos(self, self._loop)
        self._port = SignalPort(
            self,
            says_on=topics.MEDIA_EVENTS,
            hears_on=topics.MEDIA_REQUESTS,
            on_signal=into_loop(self._loop, self._on_signal),
        )
        self._hub = MediaHub(
            self._topics,
            self._port.send,
            settings=PeerSettings(params.ice_addresses, self.current_servers, params.max_stamp_age_s),
            max_rooms=params.max_rooms,
            max_peers=params.max_peers,
            max_peers_per_room=params.max_peers_per_room,
        )

    def current_servers(self) -> list[dict[str, Any]]:
        """ICE servers with passwords that are good from now."""
        return with_passes(self._servers, self._secret, time.time())

    def _on_signal(self, received: Any) -> None:
        if self._hub is not None:
            self._hub.on_signal(received)

    def beat(self) -> None:
        """Say that this process lives, on the event loop."""
        assert self._hub is not None and self._port is not None
        said = {"rooms": self._hub.rooms, "peers": self._hub.peers, "ice_servers": self.current_servers()}
        self._port.send(signal("", STATE, "", said))

    def check_memory(self) -> None:
        """Raise Unavailable when this process has grown beyond its bound."""
        taken_mb = psutil.Process().memory_info().rss // _MEGABYTE
        if taken_mb > self.params.max_memory_mb:
            raise Unavailable(
                f"The media process takes {taken_mb} MiB, more than max_memory_mb, and ends to begin anew."
            )

    async def close_hub(self) -> None:
        """Close every connection."""
        if self._hub is not None:
            await self._hub.close()
            self._hub = None

    def tear_down(self) -> None:
        if self._port is not None:
            self._port.destroy()
            self._port = None
            self._topics.close()


async def _serve(node: MediaNode) -> int:
    """Serve until a signal; 0 unless something died or refused to start."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signals.SIGINT, signals.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    node.attach(loop)
    if not begin(node):
        return 2
    deaths: list[str] = []

    def on_death(reason: str) -> None:
        deaths.append(reason)
        loop.call_soon_threadsafe(ending.set)

    spin = SpinThread(node, on_death)
    try:
        while not ending.is_set():
            node.beat()
            node.check_memory()
            try:
                await asyncio.wait_for(ending.wait(), BEAT_PERIOD_S)
            except TimeoutError:
                continue
    finally:
        await node.close_hub()
        spin.end()
        node.attempt(node.stop)
        node.attempt(node.tear_down)
    for reason in deaths:
        print(f"error: {reason}", file=sys.stderr, flush=True)
    return 1 if deaths else 0


def main() -> int:
    """Process of media; returns its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    init_ros(sys.argv)
    node: MediaNode | None = None
    try:
        node = MediaNode()
        ports = port_range(node.params.udp_ports)
        with asyncio.Runner(loop_factory=lambda: MediaLoop(ports)) as runner:
            return runner.run(_serve(node))
    except ArenaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 3
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
