# SPDX-License-Identifier: Apache-2.0
"""When a process that ended is started again. Pure: the caller brings the times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The first restart is almost at once, so that a killed guard is back within seconds; then it backs off."""

    first_delay_s: float = 0.2
    second_delay_s: float = 1.0
    longest_delay_s: float = 10.0
    stable_after_s: float = 15.0
    crash_loop_after: int = 4


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again after `delay_s`; `failures` ends in a row, each before the process was stable."""

    delay_s: float
    failures: int
    is_crash_loop: bool


class RestartHistory:
    """Counts the failures of one process."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failures = 0

    def after_exit(self, lived_s: float) -> Restart:
        """What to do about a process that ended unasked after `lived_s`."""
        policy = self._policy
        self._failures = 1 if lived_s >= policy.stable_after_s else self._failures + 1
        delay_s = policy.first_delay_s
        if self._failures > 1:
            # 2**30 is long past any cap; more would overflow after days of failing.
            delay_s = policy.second_delay_s * 2.0 ** min(self._failures - 2, 30)
        return Restart(
            min(delay_s, policy.longest_delay_s), self._failures, self._failures >= policy.crash_loop_after
        )


def describe_exit(code: int) -> str:
    """An exit code for a person; negative codes are signals, as in asyncio."""
    import signal

    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
