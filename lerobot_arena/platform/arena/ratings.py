# SPDX-License-Identifier: Apache-2.0
"""From votes to a leaderboard: Bradley–Terry strengths with bootstrap intervals. Pure numpy, seeded.

P(a beats b) = σ(θa − θb), R. A. Bradley and M. E. Terry, Biometrika 39 (1952); a tie counts as half a win and half a
loss. Ratings are 1500 + θ · 400 / ln 10, so that 400 points are odds of ten to one. A normal prior around 1500 keeps a
policy with a perfect record finite. Intervals are percentiles over resampled *voters*, not votes, because the votes of
one person are not independent (cluster bootstrap; A. C. Davison and D. V. Hinkley, Bootstrap Methods, §3.8). Few voters
who agree resample to themselves, so an interval is never narrower than the posterior's own, in which all that one voter
says about a pair counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CENTRE = 1500.0
POINTS = 400.0 / np.log(10.0)
PRIOR_POINTS = 350.0
BOOTSTRAPS = 400
FEWEST_VOTERS = 5
"""Below it an interval would only pretend to know something."""
_INTERVAL, _DEVIATIONS = (0.025, 0.975), 1.96
_LONGEST_STEP, _MOST_STEPS, _CLOSE = 2.0, 60, 1e-9

LEFT, RIGHT, BOTH_GOOD, BOTH_BAD = "left", "right", "both_good", "both_bad"
WINNERS = (LEFT, RIGHT, BOTH_GOOD, BOTH_BAD)
_SCORE = {LEFT: 1.0, RIGHT: 0.0, BOTH_GOOD: 0.5, BOTH_BAD: 0.5}


@dataclass(frozen=True, slots=True)
class Vote:
    """One counted vote; `winner` is one of WINNERS, `voter` any key that tells voters apart."""

    left: str
    right: str
    winner: str
    voter: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the table; the interval is None while it would mean nothing."""

    policy: str
    rating: float
    wins: int
    losses: int
    ties: int
    low: float | None
    high: float | None

    @property
    def counted_votes(self) -> int:
        return self.wins + self.losses + self.ties


@dataclass(frozen=True, slots=True)
class Standings:
    """The table, best first; `winner` is the first row when its interval lies above that of all others with votes."""

    rows: tuple[Standing, ...]
    winner: str | None


@dataclass(frozen=True)
class _Games:
    """Votes as numbers: per vote the pair of policies, the first one's score, and the voter."""

    policies: tuple[str, ...]
    first: Ints
    second: Ints
    score: Floats
    voter: Ints
    voters: int


def rate(
    votes: Sequence[Vote], policies: Sequence[str] = (), *, seed: int = 0, bootstraps: int = BOOTSTRAPS
) -> Standings:
    """The leaderboard; `policies` are listed even without a vote. Raises ValueError on an unknown winner."""
    games = _as_games(votes, policies)
    if not games.policies:
        return Standings((), None)
    edges, n, score = _tally(games, np.ones((1, games.voters)))
    strengths = _fit(edges, n, score, len(games.policies))[0]
    group = _connected(games)
    voices = _one_voice_each(games)
    resampled = _resampled(games, strengths, seed, bootstraps)
    posterior = _posterior(voices, int(group.sum()))
    low, high = np.minimum(resampled[0], posterior[0]), np.maximum(resampled[1], posterior[1])
    wins, losses, ties = _counts(games)
    is_known = group & (_voters_of_each(voices) >= FEWEST_VOTERS)
    rows = [
        Standing(
            policy,
            CENTRE + POINTS * float(strengths[index]),
            int(wins[index]),
            int(losses[index]),
            int(ties[index]),
            CENTRE + POINTS * float(low[index]) if is_known[index] else None,
            CENTRE + POINTS * float(high[index]) if is_known[index] else None,
        )
        for index, policy in enumerate(games.policies)
    ]
    rows.sort(key=lambda row: (-row.rating, row.policy))
    return Standings(tuple(rows), _winner(rows))


def _as_games(votes: Sequence[Vote], policies: Sequence[str]) -> _Games:
    unknown = {vote.winner for vote in votes} - set(WINNERS)
    if unknown:
        raise ValueError(f"A vote's winner is one of {', '.join(WINNERS)}, not {sorted(unknown)}.")
    names = sorted({*policies, *(vote.left for vote in votes), *(vote.right for vote in votes)})
    number = {name: index for index, name in enumerate(names)}
    voters = {name: index for index, name in enumerate(sorted({vote.voter for vote in votes}))}
    return _Games(
        tuple(names),
        np.array([number[vote.left] for vote in votes], dtype=np.int64),
        np.array([number[vote.right] for vote in votes], dtype=np.int64),
        np.array([_SCORE[vote.winner] for vote in votes], dtype=np.float64),
        np.array([voters[vote.voter] for vote in votes], dtype=np.int64),
        len(voters),
    )


def _ordered(games: _Games) -> tuple[Ints, Ints]:
    """The pair of each vote, whichever was on the left."""
    return np.minimum(games.first, games.second), np.maximum(games.first, games.second)


def _tally(games: _Games, weights: Floats) -> tuple[Ints, Floats, Floats]:
    """Pairs E×2 that met, and per set of voter weights (B×V) their number of games and first's score, both B×E."""
    low, high = _ordered(games)
    score = np.where(games.first < games.second, games.score, 1.0 - games.score)
    pairs, pair_of = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
    pair_of = pair_of.reshape(-1)
    n = np.zeros((len(weights), len(pairs)))
    points = np.zeros_like(n)
    for row, weight in enumerate(weights):
        per_vote = weight[games.voter]
        n[row] = np.bincount(pair_of, per_vote, len(pairs))
        points[row] = np.bincount(pair_of, per_vote * score, len(pairs))
    return pairs, n, points


def _fit(edges: Ints, n: Floats, score: Floats, size: int) -> Floats:
    """Strengths B×P that maximise the posterior, by Newton's method; it is strictly concave, so there is one."""
    strengths = np.zeros((len(n), size))
    precision = (POINTS / PRIOR_POINTS) ** 2
    a, b = edges[:, 0], edges[:, 1]
    rows = np.arange(len(n))[:, None]
    diagonal = np.arange(size)
    for _ in range(_MOST_STEPS):
        p = 1.0 / (1.0 + np.exp(strengths[:, b] - strengths[:, a]))
        surprise, weight = score - n * p, n * p * (1.0 - p)
        gradient = -precision * strengths
        np.add.at(gradient, (rows, a[None]), surprise)
        np.add.at(gradient, (rows, b[None]), -surprise)
        hessian = np.zeros((len(n), size, size))
        hessian[rows, a[None], b[None]] -= weight
        hessian[rows, b[None], a[None]] -= weight
        hessian[:, diagonal, diagonal] = precision - hessian.sum(axis=2)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True, initial=0.0)
        strengths += step * np.minimum(1.0, _LONGEST_STEP / np.maximum(longest, 1e-12))
        if longest.max(initial=0.0) < _CLOSE:
            break
    return strengths


def _one_voice_each(games: _Games) -> _Games:
    """All that a voter said about a pair as one vote, of their mean score."""
    size, low, high = len(games.policies), *_ordered(games)
    score = np.where(games.first < games.second, games.score, 1.0 - games.score)
    keys, vote_of = np.unique((low * size + high) * games.voters + games.voter, return_inverse=True)
    means = np.bincount(vote_of, score, len(keys)) / np.bincount(vote_of, minlength=len(keys))
    pair, voter = np.divmod(keys, max(games.voters, 1))
    first, second = np.divmod(pair, size)
    return _Games(games.policies, first, second, means, voter, games.voters)


def _voters_of_each(games: _Games) -> Ints:
    players = np.concatenate([games.first, games.second])
    told = np.unique(players * max(games.voters, 1) + np.concatenate([games.voter, games.voter]))
    return np.bincount(told // max(games.voters, 1), minlength=len(games.policies))


def _posterior(games: _Games, group: int) -> tuple[Floats, Floats]:
    """Laplace's interval: mode and curvature there; right for policies that belong to a group of that size."""
    edges, n, score = _tally(games, np.ones((1, games.voters)))
    size, (a, b) = len(games.policies), edges.T
    mode = _fit(edges, n, score, size)[0]
    p = 1.0 / (1.0 + np.exp(mode[b] - mode[a]))
    hessian, precision = np.zeros((size, size)), (POINTS / PRIOR_POINTS) ** 2
    hessian[a, b] = hessian[b, a] = -n[0] * p * (1.0 - p)
    hessian[np.diag_indices(size)] = precision - hessian.sum(axis=1)
    # Ratings are relative to the mean of those that have met, whose own uncertainty is none of theirs.
    variance = np.diag(np.linalg.inv(hessian)) - 1.0 / (precision * group)
    reach = _DEVIATIONS * np.sqrt(np.maximum(variance, 0.0))
    return mode - reach, mode + reach


def _resampled(games: _Games, strengths: Floats, seed: int, bootstraps: int) -> tuple[Floats, Floats]:
    size = len(games.policies)
    if not games.voters or bootstraps < 1:
        return strengths, strengths
    random = np.random.default_rng(seed)
    # A block at a time: memory must not grow with the number of voters times that of bootstraps.
    block = max(1, min(bootstraps, 4_000_000 // max(games.voters, size * size, 1)))
    fits = []
    for begin in range(0, bootstraps, block):
        count = min(block, bootstraps - begin)
        weights = random.multinomial(games.voters, np.full(games.voters, 1.0 / games.voters), count)
        fits.append(_fit(*_tally(games, weights.astype(np.float64)), size))
    low, high = np.quantile(np.concatenate(fits), _INTERVAL, axis=0)
    return low, high


def _counts(games: _Games) -> tuple[Ints, Ints, Ints]:
    size = len(games.policies)
    is_tie = games.score == 0.5
    won, lost = games.score == 1.0, games.score == 0.0

    def count(players: Ints, when: NDArray[np.bool_]) -> Ints:
        return np.bincount(players[when], minlength=size)

    wins = count(games.first, won) + count(games.second, lost)
    losses = count(games.first, lost) + count(games.second, won)
    return wins, losses, count(games.first, is_tie) + count(games.second, is_tie)


def _connected(games: _Games) -> NDArray[np.bool_]:
    """Which policies belong to the largest group that has met, directly or through others."""
    group = np.arange(len(games.policies))
    for a, b in {(int(x), int(y)) for x, y in zip(games.first, games.second, strict=True)}:
        group[group == group[b]] = group[a]
    names, sizes = np.unique(group, return_counts=True)
    return np.asarray(group == names[np.argmax(sizes)])


def _winner(rows: Sequence[Standing]) -> str | None:
    best, *others = rows
    lead = best.low
    highs = [row.high for row in others if row.counted_votes]
    if lead is None or not highs:
        return None
    return best.policy if all(high is not None and high < lead for high in highs) else None
