# SPDX-License-Identifier: Apache-2.0
"""Glass to topic: a page of headless Chromium draws a clock, sends it by WebRTC, and a ROS subscriber reads it.

In the same run, from the same page: a bare aiortc connection, as upstream's Python consumer has one, without any ROS.
Upstream's own Python to Python path was measured at p50 78 ms, p95 86 ms, 26.4 fps (its reference, finding T13).
Needs Chromium and playwright. `--seconds 10`
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from floors import init_ros
from report import percentiles_ms, show

from lerobot_arena.core.room import ANSWER, DROP, OFFER, OPEN, WANT, MediaSignal
from lerobot_arena.rooms.media_wire import is_beat, payload_of, signal
from lerobot_arena.ros import convert, dds, qos
from lerobot_arena.ros.media_link import MediaLinkOverRos
from lerobot_arena.testing.probe import Probe

ROOM = "/rooms/bench/camera"
BITS, ROWS, COLUMNS = 24, 3, 8
WIDTH, HEIGHT, RATE_HZ = 640, 480, 30

# A frame is asked for right after its clock was drawn, so that the canvas adds no wait of its own.
PAGE = f"""
() => {{
  const canvas = document.createElement("canvas");
  canvas.width = {WIDTH}; canvas.height = {HEIGHT};
  document.body.append(canvas);
  const paint = canvas.getContext("2d");
  const stream = canvas.captureStream(0);
  const [track] = stream.getVideoTracks();
  const draw = () => {{
    const now = Math.round(performance.timeOrigin + performance.now()) % {1 << BITS};
    for (let bit = 0; bit < {BITS}; bit++) {{
      paint.fillStyle = (now >> bit) & 1 ? "#fff" : "#000";
      const size = {WIDTH // COLUMNS};
      paint.fillRect((bit % {COLUMNS}) * size, Math.floor(bit / {COLUMNS}) * size, size, size);
    }}
    paint.fillStyle = `hsl(${{now / 20 % 360}} 80% 50%)`;
    paint.fillRect(0, {ROWS * WIDTH // COLUMNS}, {WIDTH}, {HEIGHT});
    track.requestFrame();
  }};
  setInterval(draw, {1000 / RATE_HZ});
  window.offer = async () => {{
    const peer = window.peer = new RTCPeerConnection({{ iceServers: [] }});
    peer.addTrack(track, stream);
    await peer.setLocalDescription(await peer.createOffer());
    await new Promise((done) => {{
      peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done();
      setTimeout(done, 2000);
    }});
    return peer.localDescription.sdp;
  }};
}}
"""


def read_clock_ms(picture: np.ndarray) -> int:
    """The clock in a picture."""
    size = picture.shape[1] // COLUMNS
    value = 0
    for bit in range(BITS):
        row, column = divmod(bit, COLUMNS)
        bright = picture[row * size + size // 2, column * size + size // 2].mean() > 127
        value |= int(bright) << bit
    return value


class Reading:
    """Ages of pictures as they come."""

    def __init__(self) -> None:
        self.ages_s: list[float] = []
        self.stamps_s: list[float] = []
        self.began_s = 0.0

    def take(self, picture: np.ndarray, stamp_s: float | None = None) -> None:
        now_ms = time.time() * 1000
        drawn_ms = now_ms - (now_ms - read_clock_ms(picture)) % (1 << BITS)
        self.ages_s.append((now_ms - drawn_ms) / 1000)
        if stamp_s is not None:
            self.stamps_s.append(stamp_s - drawn_ms / 1000)

    def row(self, what: str, seconds: float) -> dict[str, Any]:
        return {"what": what, **percentiles_ms(self.ages_s), "fps": len(self.ages_s) / seconds}


class Media:
    """The media process, and this process as the bridge that talks to it."""

    def __init__(self, reading: Reading) -> None:
        self.probe = Probe("bench_video")
        self.link = MediaLinkOverRos(self.probe.node, asyncio.get_running_loop())
        self.link.listen(self._on_signal)
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_image(message: Any) -> None:
            frame = convert.frame_from_image(message, "", 0)
            reading.take(frame.image, frame.stamp_ns / 1e9)

        self.probe.node.create_subscription(convert.Image, ROOM, on_image, qos.CAMERA_SUBSCRIBER)
        self.probe.start()
        command = [sys.executable, "-P", "-m", "lerobot_arena.rooms.node", "--ros-args", "-r", "__ns:=/arena"]
        self.process = subprocess.Popen(command, env=os.environ.copy(), stdin=subprocess.DEVNULL)

    def _on_signal(self, received: MediaSignal) -> None:
        if not is_beat(received) and received.kind == ANSWER and not self._answer.done():
            self._answer.set_result(payload_of(received)["answer"]["sdp"])

    async def answer(self, sdp: str) -> str:
        """What the media process answers to the page's offer."""
        while not self.link.is_there:  # noqa: ASYNC110 - beats are counted elsewhere
            await asyncio.sleep(0.05)
        self.link.send(signal(ROOM, OPEN))
        self.link.send(signal(ROOM, WANT, "page", {"role": "producer", "media": "webrtc"}))
        self.link.send(signal(ROOM, OFFER, "page", {"sdp": sdp, "target_consumer": "arena"}))
        return await asyncio.wait_for(self._answer, 20)

    def close(self) -> None:
        self.link.send(signal(ROOM, DROP, "page"))
        self.process.terminate()
        self.process.wait(15)
        self.probe.close()


async def over_ros(page: Any, seconds: float) -> tuple[Reading, float]:
    """Ages on the topic, and how much of a core the media process took."""
    import psutil

    reading = Reading()
    media = Media(reading)
    try:
        await connect(page, media.answer)
        await settle(reading)
        process = psutil.Process(media.process.pid)
        before = process.cpu_times()
        await asyncio.sleep(seconds)
        after = process.cpu_times()
    finally:
        media.close()
    return reading, (after.user + after.system - before.user - before.system) / seconds


async def bare(page: Any, seconds: float) -> Reading:
    """Ages in a callback of a bare aiortc connection in this process."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamError

    reading = Reading()
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tasks: list[asyncio.Task[None]] = []

    async def take(track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            reading.take(frame.to_ndarray(format="rgb24"))

    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(take(track))))

    async def answer(sdp: str) -> str:
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    await connect(page, answer)
    await settle(reading)
    await asyncio.sleep(seconds)
    await peer.close()
    return reading


async def connect(page: Any, answer: Callable[[str], Any]) -> None:
    """A new connection of the page."""
    sdp = await answer(await page.evaluate("offer()"))
    await page.evaluate("(sdp) => peer.setRemoteDescription({ type: 'answer', sdp })", sdp)


async def settle(reading: Reading) -> None:
    """Wait for a second of pictures, then begin anew."""
    deadline = time.monotonic() + 30
    while len(reading.ages_s) < RATE_HZ:
        if time.monotonic() > deadline:
            raise SystemExit("No pictures came within 30 s.")
        await asyncio.sleep(0.05)
    reading.ages_s.clear()
    reading.stamps_s.clear()


async def run(seconds: float) -> None:
    from playwright.async_api import async_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        raise SystemExit("No Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = await playwright.chromium.launch(executable_path=executable, args=arguments)
        page = await browser.new_page()
        await page.evaluate(PAGE)
        ours, cores = await over_ros(page, seconds)
        rival = await bare(page, seconds)
        await browser.close()
    rows = [
        ours.row("page → media process → ROS topic", seconds),
        rival.row("page → bare aiortc callback, no ROS", seconds),
        {"what": "upstream, Python → Python (reference T13)", "p50_ms": 78.0, "p95_ms": 86.0,
         "p99_ms": "", "max_ms": "", "fps": 26.4},
    ]  # fmt: skip
    off = percentiles_ms(ours.stamps_s)
    notes = [
        f"{WIDTH}×{HEIGHT}, VP8, {RATE_HZ} frames drawn a second; the clock has 1 ms steps",
        f"capture stamp − clock in the picture: p50 {off['p50_ms']:.1f} ms, p95 {off['p95_ms']:.1f} ms",
        f"the media process took {cores:.0%} of a core",
    ]
    show("Glass to topic", rows, notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    dds.apply_profile(os.environ, dds.LOCAL)
    init_ros()
    asyncio.run(run(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
