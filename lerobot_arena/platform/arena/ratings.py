# SPDX-License-Identifier: Apache-2.0
"""From votes to a leaderboard: Bradley–Terry strengths with bootstrap intervals. Pure numpy, seeded.

P(a beats b) = σ(θa − θb), R. A. Bradley and M. E. Terry, Biometrika 39 (1952); a tie counts as half a win and half a
loss. Ratings are 1500 + θ · 400 / ln 10, so that 400 points are odds of ten to one. A normal prior around 1500 keeps a
policy with a perfect record finite. Intervals are percentiles over resampled *voters*, not votes, because the votes of
one person are not independent (cluster bootstrap; A. C. Davison and D. V. Hinkley, Bootstrap Methods, §3.8).
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
FEWEST_VOTES = 5
"""Below it an interval would only pretend to know something."""
_INTERVAL = (0.025, 0.975)
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
    """The table, best first; `winner` only when its interval lies above every other."""

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
    low, high = _intervals(games, seed, bootstraps)
    wins, losses, ties = _counts(games)
    is_known = _connected(games) & (wins + losses + ties >= FEWEST_VOTES)
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


def _tally(games: _Games, weights: Floats) -> tuple[Ints, Floats, Floats]:
    """Pairs E×2 that met, and per set of voter weights (B×V) their number of games and first's score, both B×E."""
    low, high = np.minimum(games.first, games.second), np.maximum(games.first, games.second)
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


def _intervals(games: _Games, seed: int, bootstraps: int) -> tuple[Floats, Floats]:
    size = len(games.policies)
    if not games.voters or bootstraps < 1:
        return np.zeros(size), np.zeros(size)
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
    best = max((row for row in rows if row.low is not None), key=lambda row: row.rating, default=None)
    if best is None or best.low is None or len(rows) < 2:
        return None
    others = [row.high for row in rows if row is not best and row.high is not None]
    return best.policy if others and all(best.low > high for high in others) else None
