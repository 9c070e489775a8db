# SPDX-License-Identifier: Apache-2.0
"""Camera messages without ROS: an Image as the CompressedImage it becomes, and which pictures are worth keeping."""

import struct
from collections import deque
from enum import StrEnum
from typing import Any

from lerobot_arena.core.cdr import CdrReader
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.queue import Item

_CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1}
_ENCAPSULATION = b"\x00\x01\x00\x00"


class ImagePolicy(StrEnum):
    """Which pictures are recorded."""

    VIOLATIONS = "violations"
    CLAMPS = "clamps"
    ALL = "all"
    NONE = "none"


def jpeg_twin(data: bytes, quality: int) -> bytes | None:
    """A serialised sensor_msgs/Image as serialised CompressedImage, JPEG.

    None when its encoding is none that JPEG keeps (16UC1, 32FC1, …). Raises InvalidInput on a broken message.
    """
    import cv2

    try:
        reader = CdrReader(data)
        sec, nanosec, frame_id = reader.number("i", 4), reader.number("I", 4), reader.text()
        height, width, encoding = reader.number("I", 4), reader.number("I", 4), reader.text()
        reader.number("B", 1)
        step = reader.number("I", 4)
        pixels = _pixels(reader.block(), height, width, step, encoding)
    except struct.error as error:
        raise InvalidInput(f"An image message is cut short: {error}.") from error
    if pixels is None:
        return None
    if encoding == "rgb8":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidInput(f"A {width}×{height} {encoding} image could not be packed as JPEG.")
    inner = "mono8" if encoding == "mono8" else "bgr8"
    return _compressed(sec, nanosec, frame_id, f"{encoding}; jpeg compressed {inner}", packed.tobytes())


def _pixels(block: memoryview, height: int, width: int, step: int, encoding: str) -> Any:
    import numpy as np

    channels = _CHANNELS.get(encoding)
    if channels is None:
        return None
    if height == 0 or width == 0 or step < width * channels or len(block) < height * step:
        raise InvalidInput(f"A {width}×{height} {encoding} image came with {len(block)} bytes.")
    rows = np.frombuffer(block, dtype=np.uint8, count=height * step).reshape(height, step)
    return rows[:, : width * channels].reshape(height, width, channels)


def _compressed(sec: int, nanosec: int, frame_id: str, encoding: str, data: bytes) -> bytes:
    """A CompressedImage as CDR: stamp, two strings, a sequence of bytes, each length aligned to 4."""
    out = bytearray(_ENCAPSULATION + struct.pack("<iI", sec, nanosec))
    for text in (frame_id, encoding):
        raw = text.encode() + b"\0"
        out += struct.pack("<I", len(raw)) + raw
        out += bytes(-len(out) % 4)
    out += struct.pack("<I", len(data)) + data
    return bytes(out)


class ImageGate:
    """Lets pictures through around what is worth seeing, `window_ns` before (from a ring) and after it."""

    def __init__(self, policy: ImagePolicy, window_ns: int, max_bytes: int) -> None:
        self._policy, self._window_ns, self._max_bytes = policy, window_ns, max_bytes
        self._ring: deque[Item] = deque()
        self._bytes = 0
        self._open_until_ns = -1

    def offer(self, item: Item) -> bool:
        """Whether this picture is written now; else it waits in the ring."""
        if self._policy is ImagePolicy.ALL or item.log_ns <= self._open_until_ns:
            return True
        if self._policy is not ImagePolicy.NONE:
            self._keep(item)
        return False

    def _keep(self, item: Item) -> None:
        self._ring.append(item)
        self._bytes += len(item.data)
        while self._ring and (
            self._bytes > self._max_bytes or self._ring[0].log_ns < item.log_ns - self._window_ns
        ):
            self._bytes -= len(self._ring.popleft().data)

    def on_cycle(self, decision: int, log_ns: int) -> list[Item]:
        """The pictures that a cycle makes worth keeping, in order."""
        if self._policy is ImagePolicy.VIOLATIONS and decision >= Decision.REJECT:
            return self.open(log_ns)
        if self._policy is ImagePolicy.CLAMPS and decision >= Decision.CLAMP:
            return self.open(log_ns)
        return []

    def open(self, log_ns: int) -> list[Item]:
        """Keep what is around `log_ns`; returns what was before it."""
        self._open_until_ns = max(self._open_until_ns, log_ns + self._window_ns)
        kept = [item for item in self._ring if item.log_ns >= log_ns - self._window_ns]
        self._ring.clear()
        self._bytes = 0
        return kept
