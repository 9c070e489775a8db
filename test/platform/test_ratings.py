# SPDX-License-Identifier: Apache-2.0
"""Ratings of votes: known strengths come back, intervals mean what they say, and no single voter decides."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.platform.arena.ratings import (
    BOTH_BAD,
    BOTH_GOOD,
    CENTRE,
    FEWEST_VOTERS,
    LEFT,
    POINTS,
    RIGHT,
    WINNERS,
    Vote,
    rate,
)

POLICIES = [f"lab/p{index}" for index in range(6)]


def simulate(seed: int, *, voters: int = 1000, policies: int = 6) -> tuple[np.ndarray, list[Vote]]:
    """True ratings, centred, and one vote of each voter."""
    random = np.random.default_rng(seed)
    strengths = random.normal(0.0, 1.0, policies)
    strengths -= strengths.mean()
    votes = []
    for voter in range(voters):
        a, b = random.choice(policies, 2, replace=False)
        a_wins = random.random() < 1.0 / (1.0 + math.exp(strengths[b] - strengths[a]))
        votes.append(Vote(f"lab/p{a}", f"lab/p{b}", LEFT if a_wins else RIGHT, str(voter)))
    return CENTRE + POINTS * strengths, votes


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    hits = []
    for seed in range(60):
        truth, votes = simulate(seed)
        for row in rate(votes, seed=seed).rows:
            assert row.low is not None and row.high is not None
            hits.append(row.low <= truth[int(row.policy[-1])] <= row.high)
    # 360 intervals at 95 %: four standard errors are 4.6 %; bench/arena.py measures it with more.
    assert 0.90 <= np.mean(hits) <= 0.995, np.mean(hits)


def test_a_thousand_voters_bring_the_ranking_back() -> None:
    truth, votes = simulate(7)
    found = {row.policy: row.rating for row in rate(votes).rows}
    for a in range(6):
        for b in range(6):
            if truth[a] > truth[b] + 100:
                assert found[f"lab/p{a}"] > found[f"lab/p{b}"]


def test_the_same_votes_and_seed_give_the_same_table_in_any_order() -> None:
    _, votes = simulate(3, voters=200)
    shuffled = [votes[index] for index in np.random.default_rng(1).permutation(len(votes))]
    assert rate(votes, seed=5) == rate(votes, seed=5)
    for one, other in zip(rate(votes, seed=5).rows, rate(shuffled, seed=5).rows, strict=True):
        assert one.policy == other.policy and one.rating == pytest.approx(other.rating)


def test_sides_do_not_matter() -> None:
    swap = {LEFT: RIGHT, RIGHT: LEFT, BOTH_GOOD: BOTH_GOOD, BOTH_BAD: BOTH_BAD}
    _, votes = simulate(4, voters=100)
    mirrored = [Vote(vote.right, vote.left, swap[vote.winner], vote.voter) for vote in votes]
    for one, other in zip(rate(votes).rows, rate(mirrored).rows, strict=True):
        assert (one.policy, one.wins, one.losses) == (other.policy, other.wins, other.losses)
        assert one.rating == pytest.approx(other.rating)


def test_nobody_leads_before_the_intervals_part() -> None:
    few = [Vote("a", "b", LEFT, str(voter)) for voter in range(FEWEST_VOTERS)]
    split = [Vote("a", "b", LEFT if voter % 2 else RIGHT, str(voter)) for voter in range(100)]
    many = [Vote("a", "b", LEFT if voter % 5 else RIGHT, str(voter)) for voter in range(200)]
    assert rate([]).winner is None
    assert rate(few[:-1]).rows[0].low is None
    assert rate(few).rows[0].low is not None and rate(few).winner is None, "five who agree may be chance"
    assert rate(split).winner is None
    assert rate(many).winner == "a"


def test_one_voter_with_a_thousand_votes_cannot_win_by_itself() -> None:
    """Voters are resampled whole, so a single voter's interval stays wide open."""
    honest = [Vote("a", "b", LEFT if voter % 2 else RIGHT, str(voter)) for voter in range(40)]
    flood = [Vote("a", "b", RIGHT, "bot")] * 1000
    table = rate([*honest, *flood])
    b = next(row for row in table.rows if row.policy == "b")
    assert table.winner is None and b.low is not None and b.low < CENTRE


@pytest.mark.parametrize("count", [5, 20, 50])
@pytest.mark.parametrize("voters", [1, 2])
def test_one_or_two_voters_decide_nothing_however_often_they_vote(voters: int, count: int) -> None:
    table = rate([Vote("a", "b", LEFT, str(number % voters)) for number in range(count)])
    assert table.winner is None and all(row.low is None for row in table.rows)


def test_votes_of_few_who_agree_leave_an_interval_wide() -> None:
    """Resampling five who all say the same gives the same each time."""
    once = [Vote("a", "b", LEFT, str(voter)) for voter in range(FEWEST_VOTERS)]
    for votes in (once, once * 50):
        table = rate(votes)
        assert table.winner is None
        for row in table.rows:
            assert row.low is not None and row.high is not None and row.high - row.low > 400
            assert row.low <= row.rating <= row.high


def test_who_leads_without_an_interval_keeps_others_from_winning() -> None:
    known = [Vote("a", "b", LEFT if voter % 5 else RIGHT, str(voter)) for voter in range(200)]
    new = [Vote("new", "a", LEFT, str(voter)) for voter in range(FEWEST_VOTERS - 1)]
    assert rate(known, ["idle"]).winner == "a", "nobody has to clear what has no votes"
    table = rate([*known, *new])
    assert table.rows[0].policy == "new" and table.rows[0].low is None and table.winner is None
    lost = rate([*known, Vote("a", "new", LEFT, "0")])
    assert lost.rows[0].policy == "a" and lost.winner is None, "one vote says too little of the newcomer"


def test_who_never_met_the_others_has_no_interval() -> None:
    together = [Vote("a", "b", LEFT if voter % 2 else RIGHT, str(voter)) for voter in range(20)]
    apart = [Vote("x", "y", LEFT, str(voter)) for voter in range(10)]
    rows = {row.policy: row for row in rate([*together, *apart], ["never"]).rows}
    assert rows["a"].low is not None
    assert rows["x"].low is None and rows["never"].low is None
    assert rows["never"].rating == CENTRE and rows["never"].counted_votes == 0


votes_strategy = st.lists(
    st.builds(
        Vote,
        st.sampled_from("abc"),
        st.sampled_from("def"),
        st.sampled_from(WINNERS),
        st.sampled_from("123456789"),
    ),
    max_size=30,
)


@given(votes_strategy)
def test_every_table_is_finite_and_adds_up(votes: list[Vote]) -> None:
    table = rate(votes, bootstraps=20)
    assert all(math.isfinite(row.rating) for row in table.rows)
    assert sum(row.wins for row in table.rows) == sum(row.losses for row in table.rows)
    assert sum(row.counted_votes for row in table.rows) == 2 * len(votes)
    assert all(row.low is None or (row.high is not None and row.low <= row.high) for row in table.rows)


def test_an_unknown_winner_is_refused() -> None:
    with pytest.raises(ValueError, match="left, right"):
        rate([Vote("a", "b", "nobody", "1")])
