# SPDX-License-Identifier: Apache-2.0
"""The pacer keeps its rate without drift, and makes up for a stall only so far."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.embodiment.pacing import Pacer

PERIOD_S = 0.005
PERIOD_NS = 5_000_000


@settings(deadline=None)
@given(st.lists(st.integers(0, 200_000_000), max_size=60))
def test_every_period_is_either_worked_off_or_counted_as_lost(stalls_ns: list[int]) -> None:
    clock = ManualClock()
    begun_ns = clock.steady_ns()
    pacer = Pacer(PERIOD_S, clock=clock, most_behind=10, sleep=clock.advance)
    worked = 0
    for stall_ns in stalls_ns:
        clock.now_ns += stall_ns
        due = pacer.wait()
        assert 1 <= due <= 10
        worked += due
        elapsed = (clock.steady_ns() - begun_ns) / PERIOD_NS
        # After a stall too long to make up for, the next deadline is a whole period away: at most one more is lost.
        assert 0 <= elapsed - worked - pacer.lost_periods < 1 + pacer.overruns


def test_it_does_not_drift_when_sleeping_takes_a_little_longer() -> None:
    clock = ManualClock()
    pacer = Pacer(PERIOD_S, clock=clock, sleep=lambda seconds: clock.advance(seconds + 0.0004))
    begun_ns = clock.steady_ns()
    total = sum(pacer.wait() for _ in range(1000))
    assert total == 1000 and pacer.overruns == 0
    assert abs((clock.steady_ns() - begun_ns) / NS - 5.0) < 0.001


def test_a_long_stall_costs_at_most_the_bound() -> None:
    clock = ManualClock()
    pacer = Pacer(PERIOD_S, clock=clock, most_behind=10, sleep=clock.advance)
    clock.advance(3.0)
    assert pacer.wait() == 10 and pacer.overruns == 1 and pacer.lost_periods == 590
    assert pacer.wait() == 1
