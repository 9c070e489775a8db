# SPDX-License-Identifier: Apache-2.0
"""How often somebody may try a password: per user and address, so that nobody locks others out, and per address."""

import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from lerobot_arena.core.addresses import network_of
from lerobot_arena.core.errors import TooMany


class LoginThrottle:
    """Counts tries before the password is looked at; any thread. Memory is bounded by the minute that it looks back."""

    def __init__(self, *, tries_per_minute: int, tries_per_address: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._of_user = RateLimitItemPerMinute(tries_per_minute, namespace="user")
        self._of_address = RateLimitItemPerMinute(tries_per_address, namespace="address")

    def count(self, name: str, address: str) -> None:
        """One more try. Raises TooMany."""
        network = network_of(address)
        self._hit(self._of_address, network)
        self._hit(self._of_user, name[:64], network)

    def forgive(self, name: str, address: str) -> None:
        """The password was right: a person who mistyped it before has all tries again."""
        self._limiter.clear(self._of_user, name[:64], network_of(address))

    def _hit(self, item: RateLimitItemPerMinute, *who: str) -> None:
        if not self._limiter.hit(item, *who):
            wait_s = max(1.0, self._limiter.get_window_stats(item, *who).reset_time - time.time())
            raise TooMany(f"Too many tries to log in. Try again in {wait_s:.0f} s.", wait_s)
