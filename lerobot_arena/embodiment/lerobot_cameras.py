# SPDX-License-Identifier: Apache-2.0
"""A LeRobot camera on a thread of its own, so that no joint read ever waits for a picture."""

import threading
from typing import Any

import numpy as np

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.embodiment.protocol import Outlet

_FRAME_TIMEOUT_MS = 1000.0
_RETRY_PAUSE_S = 2.0


class CameraThread:
    """Connects, reads, delivers; reports trouble and tries again. Never ends the embodiment."""

    def __init__(self, name: str, camera: Any, outlet: Outlet, clock: Clock) -> None:
        self.name = name
        self.trouble = "connecting"
        self.frames = 0
        self._camera = camera
        self._outlet = outlet
        self._clock = clock
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end; `join` waits for it."""
        self._ending.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._camera.connect()
                while not self._ending.is_set():
                    self._deliver(self._camera.async_read(timeout_ms=_FRAME_TIMEOUT_MS))
            except Exception as error:  # each camera SDK raises types of its own
                self._report(f"{type(error).__name__}: {error}")
                self._ending.wait(_RETRY_PAUSE_S)
            finally:
                self._disconnect()

    def _deliver(self, image: Any) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"a frame of shape {image.shape} and type {image.dtype} is not an rgb8 picture")
        self.trouble = ""
        self.frames += 1
        if self._outlet.wants_frame(self.name):
            self._outlet.frame(CameraFrame(self.name, image, self._clock.wall_ns(), self._clock.steady_ns()))

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._outlet.warn(f"Camera {self.name}: {trouble}. Trying again every {_RETRY_PAUSE_S:.0f} s.")
        self.trouble = trouble

    def _disconnect(self) -> None:
        try:
            if self._camera.is_connected:
                self._camera.disconnect()
        except Exception as error:  # the device is gone already
            self._report(f"{type(error).__name__}: {error}")
