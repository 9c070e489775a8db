# SPDX-License-Identifier: Apache-2.0
"""The promise of a conformal threshold, and what it refuses to promise."""

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.inference.scores.conformal import conformal_threshold, episodes_needed

scores = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5)
alphas = st.floats(0.02, 0.9)


@pytest.mark.parametrize(("episodes", "alpha"), [(19, 0.05), (50, 0.1), (99, 0.01)])
def test_false_alarms_are_as_rare_as_promised_and_hardly_rarer(episodes: int, alpha: float) -> None:
    """Episodes of unequal length from one distribution: the share of new ones above the threshold."""
    random = np.random.default_rng(episodes)
    trials, alarms = 4000, 0
    for _ in range(trials):
        recorded = [random.gamma(2.0, size=random.integers(1, 9)) for _ in range(episodes)]
        alarms += random.gamma(2.0, size=random.integers(1, 9)).max() > conformal_threshold(recorded, alpha)
    three_sigma = 3 * np.sqrt(alpha * (1 - alpha) / trials)
    assert alarms / trials <= alpha + three_sigma
    assert alarms / trials >= alpha - 1 / (episodes + 1) - three_sigma


@pytest.mark.parametrize(
    ("alpha", "needed"), [(0.5, 1), (0.1, 9), (0.05, 19), (0.02, 49), (0.01, 99), (0.3, 3), (0.9, 1)]
)
def test_the_fewest_episodes_are_enough_and_one_fewer_is_not(alpha: float, needed: int) -> None:
    assert episodes_needed(alpha) == needed
    values = [[float(value)] for value in range(needed)]
    assert conformal_threshold(values, alpha) == needed - 1
    with pytest.raises(InvalidInput, match=f"takes {needed} successful episodes.*there are {needed - 1}"):
        conformal_threshold(values[1:], alpha)


def test_a_refusal_names_a_share_that_is_possible() -> None:
    for count in range(1, 30):
        values = [[0.0]] * count
        with pytest.raises(InvalidInput, match="accept a share of") as refused:
            conformal_threshold(values, 1e-3)
        conformal_threshold(values, float(str(refused.value).rpartition(" ")[2].rstrip(".")))


@given(st.lists(scores, min_size=50, max_size=60), alphas)
def test_it_is_an_episode_s_largest_score_and_no_more_than_allowed_lie_above(
    episodes: list[list[float]], alpha: float
) -> None:
    threshold = conformal_threshold(episodes, alpha)
    largest = [max(episode) for episode in episodes]
    assert threshold in largest
    assert sum(value > threshold for value in largest) <= alpha * (len(episodes) + 1) - 1 + 1e-6


@given(st.lists(scores, min_size=50, max_size=60), alphas, alphas)
def test_fewer_false_alarms_take_no_lower_threshold(
    episodes: list[list[float]], one: float, other: float
) -> None:
    strict, loose = sorted((one, other))
    assert conformal_threshold(episodes, strict) >= conformal_threshold(episodes, loose)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, nan])
def test_a_share_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        conformal_threshold([[1.0]] * 100, alpha)


@pytest.mark.parametrize(("odd", "why"), [([], "no scores"), ([1.0, nan], "finite"), ([np.inf], "finite")])
def test_an_unusable_episode_is_refused_by_number(odd: list[float], why: str) -> None:
    with pytest.raises(InvalidInput, match=f"Episode 2 has .*{why}"):
        conformal_threshold([[1.0], [2.0], odd, [3.0]], 0.5)
