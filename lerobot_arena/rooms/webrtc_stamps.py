# SPDX-License-Identifier: Apache-2.0
"""When a picture was captured, from the sender's RTCP reports (RFC 3550 §6.4.1): its RTP time and its wall clock.

Needs nothing from a client: every WebRTC sender reports. A report's wall clock is the sender's own, so it is believed
only while it agrees with ours; otherwise a picture's stamp is when it came.
"""

from dataclasses import dataclass

from lerobot_arena.core.clock import NS
from lerobot_arena.core.delay import DelayEstimator

RTP_HZ = 90_000
_WRAP = 1 << 32
_NTP_EPOCH_S = 2_208_988_800
_LEAST_STEP_NS = 1_000
# How far an RTP clock may be from the sender's wall clock between two reports, and how close reports are not compared.
_TRUE = 1.25
_SHORTEST_NS = NS // 5
# A capture may seem to lie ahead by what two clocks of one machine room differ.
_AHEAD_NS = NS // 20


def ntp_to_ns(ntp: int) -> int:
    """A 64-bit NTP timestamp as nanoseconds since 1970."""
    return ((ntp >> 32) - _NTP_EPOCH_S) * NS + ((ntp & 0xFFFFFFFF) * NS >> 32)


@dataclass(frozen=True, slots=True)
class Stamped:
    """A picture's stamp on the wall clock, and how much later than the quickest it came, as far as can be told."""

    stamp_ns: int
    late_s: float


class CaptureStamps:
    """Stamps of one stream's pictures: capture time when it is known and likely, else receipt; always rising.

    How late a picture is needs no agreement of clocks (core/delay.py), only an RTP clock that runs true: some clients
    count frames instead of time. That is seen by two reports.
    """

    def __init__(self, *, largest_age_s: float) -> None:
        self._largest_age_ns = round(largest_age_s * NS)
        self._report: tuple[int, int] | None = None
        self._runs_true = False
        self._delay = DelayEstimator()
        self._last_ns = 0
        self.captured = self.received = 0

    def on_report(self, rtp_timestamp: int, ntp_timestamp: int) -> None:
        """A sender report came."""
        if not ntp_timestamp:
            return
        report = rtp_timestamp, ntp_to_ns(ntp_timestamp)
        if self._report is not None:
            passed_ns = report[1] - self._report[1]
            if 0 <= passed_ns < _SHORTEST_NS:
                return
            ran_ns = _ticks_ns(rtp_timestamp - self._report[0])
            self._runs_true = passed_ns > 0 and 1 / _TRUE <= ran_ns / passed_ns <= _TRUE
            if not self._runs_true:
                self._delay.reset()
        self._report = report

    def stamp(self, rtp_timestamp: int, *, arrival_ns: int, steady_ns: int) -> Stamped:
        """Of the picture with this RTP timestamp, decoded at `arrival_ns` on our wall clock."""
        captured, late_s = self._captured_ns(rtp_timestamp), 0.0
        if captured is not None and self._runs_true:
            late_s = self._delay.delay_s(captured, steady_ns)
        quickest_ns = arrival_ns - round(late_s * NS)
        # Whether the clocks agree is seen by what came quickly, so that a stall does not change whose clock counts.
        if captured is not None and -_AHEAD_NS <= quickest_ns - captured <= self._largest_age_ns:
            stamp = min(captured, arrival_ns)
            self.captured += 1
        else:
            stamp = quickest_ns
            self.received += 1
        # The first report moves stamps back by the whole delay, and a step of a clock by any amount.
        self._last_ns = max(stamp, self._last_ns + _LEAST_STEP_NS) if self._is_near(stamp) else stamp
        return Stamped(self._last_ns, late_s)

    def _is_near(self, stamp_ns: int) -> bool:
        return self._last_ns - stamp_ns <= self._largest_age_ns

    def _captured_ns(self, rtp_timestamp: int) -> int | None:
        if self._report is None:
            return None
        rtp, wall_ns = self._report
        return wall_ns + _ticks_ns(rtp_timestamp - rtp)


def _ticks_ns(ticks: int) -> int:
    """A difference of RTP timestamps, which wrap, as nanoseconds."""
    return ((ticks + _WRAP // 2) % _WRAP - _WRAP // 2) * NS // RTP_HZ
