# SPDX-License-Identifier: Apache-2.0
"""Delays are told from stamps of a clock that has nothing to do with ours, and lateness never passes for drift."""

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.clock import NS
from lerobot_arena.core.delay import DelayEstimator

MS = 1_000_000


def fed(
    waits_ms: list[float], *, offset_ns: int = 0, period_ms: float = 20.0, ppm: float = 0.0
) -> list[float]:
    """Estimates in ms for messages sent every period that took 30 ms plus what they waited."""
    estimator, found = DelayEstimator(), []
    for index, wait_ms in enumerate(waits_ms):
        sent = round(index * period_ms * MS)
        stamp = offset_ns + round(sent * (1 - ppm / 1e6))
        found.append(1000 * estimator.delay_s(stamp, 5 * NS + sent + round((30 + wait_ms) * MS)))
    return found


@given(
    st.integers(-(2**62), 2**62),
    st.lists(st.floats(0, 20_000), min_size=1, max_size=200),
)
def test_after_a_prompt_message_a_wait_is_found_whatever_the_clocks_say(
    offset: int, waits: list[float]
) -> None:
    for estimate, wait in zip(fed([0.0, *waits], offset_ns=offset), [0.0, *waits], strict=True):
        # All of the drift that 20 s of messages allow.
        assert wait - 60.0 <= estimate <= wait + 0.01
        assert estimate >= 0.0


def test_a_link_that_stays_late_stays_late() -> None:
    """A backlog of ten seconds over ten minutes is never taken for the usual way."""
    estimates = fed([0.0, *[10_000.0] * 30_000])
    assert min(estimates[1:]) > 9_800


def test_a_burst_after_a_long_silence_is_late() -> None:
    estimator = DelayEstimator()
    assert estimator.delay_s(0, 100 * NS) == 0.0
    hour = 3500 * NS
    backlog = [hour + index * 20 * MS for index in range(100)]
    arrival = 100 * NS + backlog[-1] + 30 * MS
    delays = [estimator.delay_s(stamp, arrival) for stamp in backlog]
    assert delays[0] > 1.9
    assert delays[-1] < 0.05


def test_clocks_that_drift_apart_do_not_make_messages_late() -> None:
    assert max(fed([0.0] * 30_000, ppm=-100.0)) < 1.0
    assert max(fed([0.0] * 30_000, ppm=100.0)) < 1.0


def test_a_restarted_sender_begins_anew() -> None:
    estimator = DelayEstimator()
    estimator.delay_s(50_000 * NS, 100 * NS)
    assert estimator.delay_s(3 * NS, 101 * NS) == 0.0
