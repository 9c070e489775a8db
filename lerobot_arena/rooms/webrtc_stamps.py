# SPDX-License-Identifier: Apache-2.0
"""When a picture was captured, from the sender's RTCP reports (RFC 3550 §6.4.1): its RTP time and its wall clock.

Needs nothing from a client: every WebRTC sender reports. A report's wall clock is the sender's own, so it is believed
only while it agrees with ours; otherwise a picture's stamp is when it came.
"""

from lerobot_arena.core.clock import NS

RTP_HZ = 90_000
_WRAP = 1 << 32
_NTP_EPOCH_S = 2_208_988_800
_LEAST_STEP_NS = 1_000
# A capture may seem to lie ahead by what two clocks of one machine room differ.
_AHEAD_NS = NS // 20


def ntp_to_ns(ntp: int) -> int:
    """A 64-bit NTP timestamp as nanoseconds since 1970."""
    return ((ntp >> 32) - _NTP_EPOCH_S) * NS + ((ntp & 0xFFFFFFFF) * NS >> 32)


class CaptureStamps:
    """Stamps of one stream's pictures: capture time when it is known and likely, else receipt; always rising."""

    def __init__(self, *, largest_age_s: float) -> None:
        self._largest_age_ns = round(largest_age_s * NS)
        self._report: tuple[int, int] | None = None
        self._last_ns = 0
        self.captured = self.received = 0

    def on_report(self, rtp_timestamp: int, ntp_timestamp: int) -> None:
        """A sender report came."""
        if ntp_timestamp:
            self._report = rtp_timestamp, ntp_to_ns(ntp_timestamp)

    def stamp_ns(self, rtp_timestamp: int, arrival_ns: int) -> int:
        """The picture's stamp on the wall clock; `arrival_ns` is when it was decoded."""
        captured = self._captured_ns(rtp_timestamp)
        if captured is not None and -_AHEAD_NS <= arrival_ns - captured <= self._largest_age_ns:
            stamp = min(captured, arrival_ns)
            self.captured += 1
        else:
            stamp = arrival_ns
            self.received += 1
        # The first report moves stamps back by the whole delay, and a step of a clock by any amount.
        self._last_ns = max(stamp, self._last_ns + _LEAST_STEP_NS) if self._is_near(stamp) else stamp
        return self._last_ns

    def _is_near(self, stamp_ns: int) -> bool:
        return self._last_ns - stamp_ns <= self._largest_age_ns

    def _captured_ns(self, rtp_timestamp: int) -> int | None:
        if self._report is None:
            return None
        rtp, wall_ns = self._report
        ticks = (rtp_timestamp - rtp + _WRAP // 2) % _WRAP - _WRAP // 2
        return wall_ns + ticks * NS // RTP_HZ
