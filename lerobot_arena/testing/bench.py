# SPDX-License-Identifier: Apache-2.0
"""What stands around an embodiment on a test bench: somebody who waits, and somebody who keeps what it delivers."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.embodiment.protocol import Embodiment, JointReading, Outlet


def wait_until(what: str, done: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Poll `done` until it is true and return it. Raises AssertionError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s for: {what}")


def connect(embodiment: Embodiment, catch: "Catch") -> None:
    """Connect as the node does, trying again while the device may yet answer, and wait for the first joints."""

    def try_once() -> bool:
        try:
            embodiment.connect(catch.outlet())
        except Unavailable as error:
            catch.warnings.append(str(error))
            return False
        return True

    wait_until("a connected embodiment", try_once, 60.0)
    wait_until("a joint reading", lambda: catch.readings, 60.0)


class Catch:
    """An outlet that keeps what was delivered, and by which threads."""

    def __init__(self) -> None:
        self.readings: list[JointReading] = []
        self.frames: dict[str, CameraFrame] = {}
        self.frame_counts: dict[str, int] = {}
        self.warnings: list[str] = []
        self.hardware: list[HardwareReading] = []
        self.wanted = True
        self.joint_threads: set[int] = set()
        self.frame_threads: set[int] = set()

    def outlet(self) -> Outlet:
        """What to hand to `connect`."""
        return Outlet(
            self._joints,
            self._frame,
            lambda camera: self.wanted,
            self.warnings.append,
            self.hardware.append,
        )

    def _joints(self, reading: JointReading) -> None:
        self.joint_threads.add(threading.get_ident())
        self.readings.append(reading)

    def _frame(self, frame: CameraFrame) -> None:
        self.frame_threads.add(threading.get_ident())
        copy = CameraFrame(frame.camera, frame.image.copy(), frame.stamp_ns, frame.receipt_ns)
        self.frames[frame.camera] = copy
        self.frame_counts[frame.camera] = self.frame_counts.get(frame.camera, 0) + 1

    def is_near(self, target: Sequence[float], tolerance_rad: float = 0.08) -> bool:
        """Whether the newest joints are within `tolerance_rad` of `target`."""
        if not self.readings:
            return False
        newest = self.readings[-1].sample.values
        return all(abs(a - b) < tolerance_rad for a, b in zip(newest, target, strict=True))
