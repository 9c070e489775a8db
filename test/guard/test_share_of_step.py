# SPDX-License-Identifier: Apache-2.0
"""How much of a step may be taken, for rules made of numbers."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lerobot_arena.guard.checks.share_of_step import Violations, longest_share, overall, shortened
from lerobot_arena.guard.limiter import Vector


def wall_at(limit: float) -> Any:
    def rule(joints: Vector) -> Violations:
        return {"wall": joints[0] - limit} if joints[0] > limit else {}

    return rule


@example(start=-1.0, end=2e-122, limit=0.0)
@given(start=st.floats(-1, 1), end=st.floats(-1, 1), limit=st.floats(-1, 1))
def test_a_step_ends_before_the_wall_and_from_behind_it_never_further(
    start: float, end: float, limit: float
) -> None:
    share, beyond = longest_share((start, 0.0), (end, 1e-3), wall_at(limit))
    assert share == 1.0 or wall_at(limit)(beyond)
    reached = start + share * (end - start)
    assert reached <= max(limit, start) + 1e-12
    if end <= max(limit, start):
        assert share == 1.0, "nothing in the way, or the way back"
    else:
        assert max(limit, start) - reached <= 0.001, "no more is taken away than needed"


def test_what_lies_between_two_good_ends_is_seen() -> None:
    def post(joints: Vector) -> Violations:
        depth = 0.04 - abs(joints[0] - 0.1)
        return {"post": depth} if depth > 0.0 else {}

    share, _ = longest_share((0.0,), (0.2,), post)
    assert 0.2 * share == pytest.approx(0.06, abs=0.001)


def test_nothing_else_may_break_while_one_thing_is_broken() -> None:
    def two(joints: Vector) -> Violations:
        return {name: value for name, value in zip("ab", joints) if value > 0.0}

    assert longest_share((0.3, -0.1), (0.2, -0.05), two)[0] == 1.0, "a shrinks"
    assert longest_share((0.3, -0.1), (0.2, 0.1), two)[0] == pytest.approx(0.5, abs=0.01), "b would begin"
    assert longest_share((0.3, 0.1), (0.2, 0.2), two)[0] == 0.0, "b would grow"


def parts(joints: Vector) -> Violations:
    return overall({name: value for name, value in zip("abc", joints) if value > 0.0})


def test_of_many_overlaps_the_deepest_together_count() -> None:

    assert longest_share((0.3, 0.1, 0.2), (0.2, 0.15, 0.2), parts)[0] == 1.0, "less in all"
    assert longest_share((0.3, 0.1, 0.2), (0.2, 0.35, 0.0), parts)[0] < 1.0, "one becomes the deepest"
    assert longest_share((0.3, 0.1, 0.2), (0.3, 0.2, 0.2), parts)[0] == 0.0, "more in all"
    assert longest_share((0.3, 0.1, 0.2), (0.3, 0.22, 0.0), parts)[0] < 1.0, "less in all, more in two"
    assert overall({}) == {}


# In 1/1024 m, whose sums are exact; all apart by less than the spacing of looks.
some_gaps = st.lists(st.integers(-10, 10).map(lambda value: value / 1024), min_size=5, max_size=5).map(tuple)


@settings(max_examples=500)
@given(begin=some_gaps, end=some_gaps, data=st.data())
def test_what_a_wider_margin_lets_pass_a_narrower_one_does(
    begin: Vector, end: Vector, data: st.DataObject
) -> None:
    end = tuple(data.draw(st.permutations(begin)))[:3] + end[3:]
    narrow, wide = sorted(value / 1024 for value in data.draw(st.tuples(*[st.integers(0, 12)] * 2)))

    def is_free(margin: float) -> bool:
        def rule(gaps: Vector) -> Violations:
            return overall({str(pair): margin - gap for pair, gap in enumerate(gaps) if gap < margin})

        return longest_share(begin, end, rule)[0] == 1.0

    assert is_free(narrow) or not is_free(wide)


def test_an_absurd_step_costs_a_bounded_number_of_looks() -> None:
    looks: list[Vector] = []
    longest_share((0.0,), (1e6,), lambda joints: looks.append(joints) or {})  # type: ignore[func-returns-value]
    assert len(looks) <= 40


def test_joints_that_do_not_matter_go_all_their_way() -> None:
    start, end = (0.0, 0.0), (0.02, 0.03)
    share, _ = longest_share(start, end, wall_at(0.01))
    assert shortened(start, end, share, wall_at(0.01), (True, False)) == (pytest.approx(0.01, abs=1e-3), 0.03)
    assert shortened(start, end, share, wall_at(0.01), (True, True))[1] == pytest.approx(0.015, abs=1e-3)
