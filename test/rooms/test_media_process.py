# SPDX-License-Identifier: Apache-2.0
"""The media process as it is: WebRTC clients in this process, ROS on both sides, and what its death costs."""

import asyncio
import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.core.room import DROP, OPEN, STATE, WANT, MediaSignal
from lerobot_arena.rooms.media_wire import is_beat, payload_of, signal
from lerobot_arena.testing.media_rig import OldConsumer, OldProducer, plain

pytestmark = [pytest.mark.ros, pytest.mark.slow]

ROOM, CAMERA = "/rooms/ws/cam", "/arm/cameras/front/image_raw"
GREEN, BLUE = (30, 200, 30), (30, 30, 200)


class Bridge:
    """The bridge's end of the talk, and a node that listens to the room and one that has a camera."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        from lerobot_arena.ros import convert, qos
        from lerobot_arena.ros.media_link import MediaLinkOverRos
        from lerobot_arena.testing.probe import Probe

        self.probe = Probe("bridge_of_a_test")
        self.link = MediaLinkOverRos(self.probe.node, loop)
        self.link.listen(self._on_signal)
        self.said: list[tuple[str, str, dict[str, Any]]] = []
        self.boots: list[str] = []
        self.pictures: list[tuple[Any, float]] = []
        self._convert, self._qos = convert, qos
        self._camera = self.probe.node.create_publisher(convert.Image, CAMERA, qos.SENSOR)
        self.process: subprocess.Popen[bytes] | None = None
        self.probe.start()

    def listen_to_room(self) -> None:
        self.probe.node.create_subscription(
            self._convert.Image,
            ROOM,
            lambda message: self.pictures.append(
                (self._convert.frame_from_image(message, "r", 0), time.time())
            ),
            self._qos.CAMERA_SUBSCRIBER,
        )

    def show_camera(self, colour: tuple[int, int, int]) -> None:
        frame = CameraFrame("front", plain(colour), time.time_ns(), 0)
        self._camera.publish(self._convert.frame_to_image(frame))

    def _on_signal(self, received: MediaSignal) -> None:
        if received.boot_id not in self.boots:
            self.boots.append(received.boot_id)
        if not is_beat(received):
            self.said.append((received.kind, received.participant, payload_of(received)))

    def send(self, kind: str, participant: str = "", **payload: Any) -> None:
        self.link.send(signal(ROOM, kind, participant, payload))

    async def heard(
        self, kind: str, participant: str, timeout_s: float = 20.0, **fields: Any
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for number, (said_kind, to, payload) in enumerate(self.said):
                if (said_kind, to) == (kind, participant) and fields.items() <= payload.items():
                    del self.said[number]
                    return payload
            await asyncio.sleep(0.02)  # how often it looks; the media process is another one
        raise AssertionError(f"no {kind} {fields} to {participant!r}; there was {self.said}")

    def start_media(self) -> None:
        command = [sys.executable, "-P", "-m", "lerobot_arena.rooms.node"]
        command += ["--ros-args", "-r", "__ns:=/arena", "-p", "udp_ports:=18640-18649"]
        self.process = subprocess.Popen(command, env=os.environ.copy(), stdin=subprocess.DEVNULL)

    async def until(self, what: str, done: Any, timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"waited for: {what}"
            await asyncio.sleep(0.02)  # how often it looks; the media process is another one

    def close(self) -> None:
        if self.process is not None:
            self.process.send_signal(signals.SIGTERM)
            try:
                assert self.process.wait(15) == 0, "an end that was asked for is no failure"
            finally:
                self.process.kill()
        self.probe.close()


@pytest.fixture
async def bridge(ros_domain: int) -> AsyncIterator[Bridge]:
    bridge = Bridge(asyncio.get_running_loop())
    bridge.start_media()
    try:
        await bridge.until("the media process to beat", lambda: bridge.link.is_there)
        yield bridge
    finally:
        bridge.close()


def libraries_of(process: int) -> str:
    return Path(f"/proc/{process}/maps").read_text()


async def test_pictures_in_and_out_and_a_killed_process_comes_back_empty(bridge: Bridge) -> None:
    assert bridge.process is not None
    bridge.send(OPEN)
    bridge.send(WANT, "simple", role="consumer", media="jpeg")
    await asyncio.sleep(0.3)  # time for what must not happen
    assert "libavcodec" not in libraries_of(bridge.process.pid), (
        "codecs cost 70 MB, and nobody came with WebRTC yet"
    )
    bridge.listen_to_room()
    bridge.send(WANT, "robot", role="producer", media="webrtc")
    asked = await bridge.heard(STATE, "robot", type="participant_joined")
    assert asked["participant_id"] == "arena"

    robot = OldProducer(bridge, "robot", lambda _: plain(GREEN))  # type: ignore[arg-type]
    answer = await robot.offer("arena")
    candidates = [line for line in answer.splitlines() if line.startswith("a=candidate")]
    assert candidates and all(" 127.0.0.1 1864" in line for line in candidates), (
        "loopback, in the given ports"
    )
    await bridge.until("pictures on the room's topic", lambda: len(bridge.pictures) > 20)
    frame, came_s = bridge.pictures[-1]
    assert np.abs(frame.image[120, 80].astype(int) - np.array(GREEN)).max() < 40
    assert 0 <= came_s - frame.stamp_ns / 1e9 < 5.0
    await robot.close()

    first_boot = bridge.boots[-1]
    bridge.process.send_signal(signals.SIGKILL)
    bridge.process.wait(10)
    bridge.start_media()
    await bridge.until("another process to be heard", lambda: bridge.boots[-1] != first_boot)
    bridge.send(OPEN, image_topic=CAMERA)
    bridge.send(WANT, "page", role="consumer", media="webrtc")
    page = OldConsumer(bridge, "page")  # type: ignore[arg-type]
    showing = asyncio.ensure_future(_show(bridge))
    await page.accept()
    assert page.from_producer == "arena"
    await page.sees(BLUE)
    await bridge.until("a stream", lambda: len(page.pts) > 10)
    showing.cancel()
    bridge.send(DROP, "page")
    await page.close()


async def _show(bridge: Bridge) -> None:
    while True:
        bridge.show_camera(BLUE)
        await asyncio.sleep(0.04)  # a camera at 25 Hz
