# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.cli.supervisor.restart import RestartHistory, RestartPolicy, describe_exit

POLICY = RestartPolicy()


def test_the_first_restart_comes_at_once_and_later_ones_back_off() -> None:
    history = RestartHistory(POLICY)
    delays = [history.after_exit(0.1).delay_s for _ in range(8)]
    assert delays == [0.2, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_a_program_that_ran_well_starts_over_at_the_short_delay() -> None:
    history = RestartHistory(POLICY)
    for _ in range(6):
        history.after_exit(0.1)
    assert history.after_exit(POLICY.stable_after_s).delay_s == POLICY.first_delay_s


def test_a_crash_loop_is_told_after_four_failures_and_not_before() -> None:
    history = RestartHistory(POLICY)
    assert [history.after_exit(1.0).is_crash_loop for _ in range(5)] == [False, False, False, True, True]


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=200))
def test_delays_stay_between_the_first_and_the_longest(lives: list[float]) -> None:
    history = RestartHistory(POLICY)
    for lived_s in lives:
        assert POLICY.first_delay_s <= history.after_exit(lived_s).delay_s <= POLICY.longest_delay_s


def test_exit_codes_are_said_in_words() -> None:
    assert describe_exit(2) == "ended with code 2"
    assert describe_exit(-9) == "was killed by SIGKILL"
    assert describe_exit(-64) == "was killed by SIGRTMAX"
    assert describe_exit(-99) == "was killed by signal 99"
