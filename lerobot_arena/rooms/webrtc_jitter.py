# SPDX-License-Identifier: Apache-2.0
"""RTP packets of one video stream put together to frames, without waiting where waiting does not help.

aiortc's own buffer hands a frame on when the next one begins, which costs a frame period, and waits for a lost packet
until 512 others have come. This one goes by the marker bit, and gives a gap up after `patience_s`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CAPACITY = 1024
_HALF, _WHOLE = 1 << 15, 1 << 16


@dataclass(slots=True)
class EncodedFrame:
    """What the decoder is given; `timestamp` is RTP's, 90 kHz. `is_after_loss`: the frame before it is missing."""

    data: bytes
    timestamp: int
    is_after_loss: bool = False


class FrameAssembler:
    """Stands in for aiortc's JitterBuffer: `add` takes a packet and returns (ask for a key frame?, frame or None)."""

    capacity = CAPACITY

    def __init__(self, *, patience_s: float = 0.6, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s, self._clock = patience_s, clock
        self._packets: dict[int, Any] = {}
        self._next: int | None = None
        self._newest = 0
        self._blocked_at: float | None = None
        self._has_lost = False
        self.taken_bytes = 0

    def add(self, packet: Any) -> tuple[bool, EncodedFrame | None]:
        """Take `packet` (sequence_number, timestamp, marker, _data)."""
        number = self._unwrap(packet.sequence_number)
        is_lost = False
        if self._next is None:
            self._next = number
        if 0 < self._next - number < CAPACITY:
            return False, None
        if abs(number - self._next) >= CAPACITY:
            self._packets.clear()
            self._next = self._newest = number
            self._blocked_at, is_lost = None, True
        self._packets[number] = packet
        self._newest = max(self._newest, number)
        self._has_lost |= is_lost
        frame = self._take()
        if frame is None and self._give_up():
            is_lost = self._has_lost = True
            frame = self._take()
        return is_lost, frame

    def _unwrap(self, number: int) -> int:
        if self._next is None:
            self._newest = number
            return number
        distance = (number - self._newest + _HALF) % _WHOLE - _HALF
        return self._newest + distance

    def _take(self) -> EncodedFrame | None:
        """The frame that begins with the next packet, if all of it is there."""
        assert self._next is not None
        parts: list[bytes] = []
        number, timestamp = self._next, None
        while (packet := self._packets.get(number)) is not None:
            if timestamp is not None and packet.timestamp != timestamp:
                break
            timestamp = packet.timestamp
            parts.append(packet._data)
            number += 1
            if packet.marker:
                break
        else:
            return None
        for taken in range(self._next, number):
            del self._packets[taken]
        self._next, self._blocked_at = number, None
        assert timestamp is not None
        data, is_after_loss = b"".join(parts), self._has_lost
        self.taken_bytes += len(data)
        self._has_lost = False
        return EncodedFrame(data, timestamp, is_after_loss)

    def _give_up(self) -> bool:
        """Go on behind a gap that has lasted too long; False while it may still be filled, or is none."""
        assert self._next is not None
        gap = self._next
        while gap in self._packets:
            gap += 1
        if gap > self._newest:
            self._blocked_at = None
            return False
        now = self._clock()
        if self._blocked_at is None:
            self._blocked_at = now
        if now - self._blocked_at < self._patience_s:
            return False
        self._next, self._blocked_at = self._start_behind(gap), None
        for number in [number for number in self._packets if number < self._next]:
            del self._packets[number]
        return True

    def _start_behind(self, gap: int) -> int:
        """The first packet after the gap that is known to begin a frame, else the one after the newest."""
        for number in range(gap + 1, self._newest + 1):
            before, packet = self._packets.get(number - 1), self._packets.get(number)
            if packet is None or before is None:
                continue
            if before.marker or before.timestamp != packet.timestamp:
                return number
        return self._newest + 1
