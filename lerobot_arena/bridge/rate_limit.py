# SPDX-License-Identifier: Apache-2.0
"""How often a caller may ask. Counted in memory, per account and per address; this machine is not counted."""

import math
import time
from typing import TYPE_CHECKING

from lerobot_arena.bridge.callers import Origin
from lerobot_arena.core.addresses import network_of
from lerobot_arena.core.errors import InvalidInput, TooMany
from lerobot_arena.core.principal import Principal

if TYPE_CHECKING:
    from limits import RateLimitItem


def check_rate(text: str) -> str:
    """A rate such as `600/minute`, or nothing for no limit. Raises InvalidInput."""
    from limits import parse

    if text:
        try:
            parse(text)
        except ValueError:
            raise InvalidInput(
                f"{text!r} is not a rate: write 600/minute, or nothing for no limit."
            ) from None
    return text


class RateLimits:
    """`address` and `identity` limit requests, `failures` wrong credentials of one address; nothing means no limit."""

    def __init__(self, *, address: str, identity: str, failures: str) -> None:
        from limits.storage import MemoryStorage
        from limits.strategies import SlidingWindowCounterRateLimiter

        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._address, self._identity, self._failures = _rate(address), _rate(identity), _rate(failures)

    def check_address(self, origin: Origin) -> None:
        """Count a request of an address. Raises TooMany, also after too many wrong credentials."""
        if origin.is_loopback:
            return
        network = network_of(origin.address)
        if self._failures and not self._counter.test(self._failures, "failed", network):
            raise self._too_many(self._failures, "failed", network, "too many wrong credentials")
        self._hit(self._address, "address", network)

    def check_caller(self, caller: Principal, origin: Origin) -> None:
        """Count a request of an account. Raises TooMany."""
        if caller.is_user and not origin.is_loopback:
            self._hit(self._identity, "identity", caller.name)

    def note_failure(self, origin: Origin) -> None:
        """Count a credential that was no good."""
        if self._failures and not origin.is_loopback:
            self._counter.hit(self._failures, "failed", network_of(origin.address))

    def _hit(self, rate: "RateLimitItem | None", kind: str, key: str) -> None:
        if rate is not None and not self._counter.hit(rate, kind, key):
            raise self._too_many(rate, kind, key, f"more than {rate}")

    def _too_many(self, rate: "RateLimitItem", kind: str, key: str, why: str) -> TooMany:
        reset = self._counter.get_window_stats(rate, kind, key).reset_time
        wait_s = max(1, math.ceil(reset - time.time()))
        return TooMany(f"Slow down: {why}. Try again in {wait_s} s.", wait_s)


def _rate(text: str) -> "RateLimitItem | None":
    from limits import parse

    return parse(text) if text else None
