# SPDX-License-Identifier: Apache-2.0
"""Our side of the rendering process: start it, ask it for frames, hear from it, end it."""

import mmap
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from io import FileIO

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.embodiment.render_worker import CAMERA, DRAWN, FAILED, FRAME, LENGTH, READY, RenderJob

_START_TIMEOUT_S = 60.0
_WORKER = "lerobot_arena.embodiment.render_worker"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A finished frame: pixels are a view that the camera's next request overwrites."""

    camera: int
    image: NDArray[np.uint8]
    duration_ms: float


class RenderLink:
    """One rendering process. All calls from one thread. Raises Unavailable when the process fails or is gone."""

    def __init__(self, job: RenderJob) -> None:
        """Start the process; `wait_ready` before the first request."""
        self._job = job
        slots = job.slots()
        frames = os.memfd_create("arena_frames")
        os.ftruncate(frames, slots[-1].stop)
        pixels = np.frombuffer(mmap.mmap(frames, slots[-1].stop), dtype=np.uint8)
        self._images = [
            pixels[slot].reshape(camera.height, camera.width, 3)
            for slot, camera in zip(slots, job.cameras, strict=True)
        ]
        their_requests, our_requests = os.pipe()
        our_replies, their_replies = os.pipe()
        theirs = (their_requests, their_replies, frames)
        self._requests, self._replies = FileIO(our_requests, "w"), FileIO(our_replies)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _WORKER, *map(str, theirs)],
                stdin=subprocess.DEVNULL,
                pass_fds=theirs,
                process_group=0,  # Ctrl-C in a terminal is the parent's business; the pipe ends the child
            )
        except BaseException:
            self._close_pipes()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def wait_ready(self) -> None:
        """Hand over the model and wait until the first frame can be asked for."""
        self._write(self._job.dump())
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._has_reply(0.5):
                self._read_reply()
                return
        raise Unavailable(f"The simulator's cameras did not start within {_START_TIMEOUT_S:.0f} s.")

    def request(self, camera: int, snapshot: FloatArray) -> None:
        """Ask for a frame of camera number `camera`; not again before it came."""
        self._write(CAMERA.pack(camera) + snapshot.tobytes())

    def poll(self, timeout_s: float) -> Drawn | None:
        """The next finished frame, or None after `timeout_s`."""
        if not self._has_reply(timeout_s):
            return None
        camera, duration_ms = self._read_reply()
        return Drawn(camera, self._images[camera], duration_ms)

    def close(self) -> None:
        """End the process; at once when it does not listen."""
        self._close_pipes()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close_pipes(self) -> None:
        self._requests.close()
        self._replies.close()

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[self._requests.write(view) :]
        except BrokenPipeError as error:
            raise self._gone() from error

    def _has_reply(self, timeout_s: float) -> bool:
        return bool(select.select([self._replies], [], [], max(0.0, timeout_s))[0])

    def _read(self, size: int) -> bytes:
        # Unbuffered: what a buffer held back, select would not see.
        data = b""
        while len(data) < size:
            part = self._replies.read(size - len(data))
            if not part:
                raise self._gone()
            data += part
        return data

    def _read_reply(self) -> tuple[int, float]:
        kind, camera, duration_ms = FRAME.unpack(self._read(FRAME.size))
        if kind == FAILED:
            raise Unavailable(self._read(LENGTH.unpack(self._read(LENGTH.size))[0]).decode())
        if kind not in {READY, DRAWN}:
            raise ValueError(f"The rendering process answered {kind!r}.")
        return camera, duration_ms

    def _gone(self) -> Unavailable:
        try:
            code: int | None = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            code = None
        return Unavailable(f"The simulator's rendering process ended (exit code {code}).")
