# SPDX-License-Identifier: Apache-2.0
"""How late messages of another machine are, without its clock being compared with ours. Pure."""

from lerobot_arena.core.clock import NS

# Crystals differ by 100 ppm at most, and NTP slews a steady clock gently when it is at rest.
_DRIFT_PPM = 200
# However long a sender was silent, no more than this is put down to drift.
_MOST_DRIFT_NS = NS // 20
# Nothing waits this long in a socket: the sender's clock began anew.
_OTHER_CLOCK_NS = 3600 * NS


class DelayEstimator:
    """The delay of a sender's messages above the smallest one seen, by its steady stamps and our steady receipts.

    Two steady clocks differ by an unknown constant that drifts. The smallest difference of receipt and stamp is that
    constant plus the shortest way; what a message shows beyond it, it has waited. The smallest one rises only as fast
    as clocks drift, so that a link does not become fresh by being late for long. What it cannot see is the shortest
    way itself, and that the first message was late. One instance for one sender's connection.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another sender, or the same one with a new clock."""
        self._smallest_ns: int | None = None
        self._received_ns = 0

    def delay_s(self, sent_ns: int, received_ns: int) -> float:
        """Seconds, never negative; `sent_ns` on the sender's steady clock, `received_ns` on ours."""
        offset = received_ns - sent_ns
        if self._smallest_ns is None or abs(offset - self._smallest_ns) > _OTHER_CLOCK_NS:
            self._smallest_ns = offset
        silent_ns = max(received_ns - self._received_ns, 0)
        self._received_ns = received_ns
        drift_ns = min(silent_ns * _DRIFT_PPM // 1_000_000, _MOST_DRIFT_NS)
        self._smallest_ns = min(self._smallest_ns + drift_ns, offset)
        return (offset - self._smallest_ns) / NS
