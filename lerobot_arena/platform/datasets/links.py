# SPDX-License-Identifier: Apache-2.0
"""Links to one file that work without a login for about an hour: a <video> element sends no headers. Pure."""

import hashlib
import hmac

from lerobot_arena.core.clock import NS, Clock

LIFE_S = 3600
_STEP_S = 900
"""Links made within it are the same, so that a page that lists anew does not load its videos anew."""


class Links:
    """Signs for reading one record's file (HMAC-SHA256), and checks."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key, self._clock = key, clock

    def sign(self, record_id: str) -> tuple[int, str]:
        """Until when, in seconds since 1970, and the signature in hex."""
        until = (self._now() // _STEP_S + 1) * _STEP_S + LIFE_S
        return until, self._signature(record_id, until)

    def is_good(self, record_id: str, until: int, signature: str) -> bool:
        """Whether we signed this, and its time is not over."""
        expected = self._signature(record_id, until)
        return hmac.compare_digest(expected.encode(), signature.encode()) and self._now() < until

    def _signature(self, record_id: str, until: int) -> str:
        return hmac.new(self._key, f"{record_id}\n{until}".encode(), hashlib.sha256).hexdigest()

    def _now(self) -> int:
        return self._clock.wall_ns() // NS
