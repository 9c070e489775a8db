# SPDX-License-Identifier: Apache-2.0
"""Absolute deadlines; what was missed is skipped."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.guard.pacing import Deadlines, Pacer, Tick, set_niceness

P = 20_000_000


def test_a_small_delay_is_not_late_and_does_not_shift_what_follows() -> None:
    line = Deadlines(P, 0)
    assert line.reached(P + 3_000_000) == Tick(P + 3_000_000, False, 0)
    assert line.next_ns == 2 * P


def test_a_tick_more_than_a_period_late_counts_and_skips() -> None:
    line = Deadlines(P, 0)
    tick = line.reached(4 * P + 1)
    assert tick.is_late and tick.late_in_row == 1
    assert line.next_ns == 5 * P
    assert line.reached(10 * P).late_in_row == 2
    assert line.reached(line.next_ns).late_in_row == 0


@given(delays=st.lists(st.integers(0, 20 * P), min_size=1, max_size=50))
def test_deadlines_stay_on_the_grid_and_ahead(delays: list[int]) -> None:
    line, now = Deadlines(P, 0), 0
    for delay in delays:
        now = max(now, line.next_ns) + delay
        line.reached(now)
        assert line.next_ns % P == 0 and now < line.next_ns <= now + P


def test_a_real_loop_keeps_its_rate_and_ends() -> None:
    ticks: list[Tick] = []
    enough = threading.Event()

    def work(tick: Tick) -> None:
        ticks.append(tick)
        if len(ticks) == 20:
            enough.set()

    pacer = Pacer(work, period_s=lambda: 0.01, name="test", on_death=pytest.fail)
    pacer.begin()
    assert enough.wait(5)
    pacer.end()
    ended_with = len(ticks)
    assert (ticks[19].now_ns - ticks[0].now_ns) / 1e9 > 0.17, "never faster than its rate"
    assert not pacer._thread.is_alive() and len(ticks) == ended_with


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_dies_says_so() -> None:
    told: list[str] = []
    heard = threading.Event()

    def work(tick: Tick) -> None:
        raise RuntimeError("broken")

    def on_death(text: str) -> None:
        told.append(text)
        heard.set()

    pacer = Pacer(work, period_s=lambda: 0.01, name="test", on_death=on_death)
    pacer.begin()
    assert heard.wait(5)
    assert "broken" in told[0]
    pacer.end()


def test_every_thread_gets_the_niceness() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert set_niceness(before), "staying as nice as one is must always be allowed"
        if set_niceness(before - 1):
            assert os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == before - 1
            set_niceness(before)
    finally:
        ended.set()
        thread.join()
