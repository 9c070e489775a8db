# SPDX-License-Identifier: Apache-2.0
"""The public table, computed off the request path and kept until the next votes. Blocking."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lerobot_arena.core.clock import Clock
from lerobot_arena.platform.arena.ballots import Ballot, counted
from lerobot_arena.platform.arena.ratings import LEFT, RIGHT, Standings, Vote, rate
from lerobot_arena.platform.arena.store import ArenaStore

SEED = 20_260_101
"""Of the bootstrap: the same votes give the same table on any machine."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown. `updated_at` is the last counted vote's time, None before the first.

    `wins[a][b]` counts how often a was preferred to b.
    """

    standings: Standings
    updated_at: float | None
    wins: dict[str, dict[str, float]]


class Leaderboard:
    """Shows the newest table it has; `refresh` computes the next one."""

    def __init__(self, store: ArenaStore, policies: Callable[[], list[str]], clock: Clock) -> None:
        """`policies` names those that are listed even without a vote."""
        self._store, self._policies, self._clock = store, policies, clock
        self._table = Table(Standings((), None), None, {})
        self._due_at: float | None = None
        self._lock = threading.Lock()

    @property
    def table(self) -> Table:
        """The newest one."""
        return self._table

    @property
    def due_in_s(self) -> float | None:
        """When a table without any new vote will be another one, because a matchup closes; None: not before a vote."""
        return None if self._due_at is None else max(0.0, self._due_at - self._now())

    def refresh(self) -> Table:
        """Compute the table of all votes so far."""
        with self._lock:
            now = self._now()
            self._table = table_of(self._store.ballots(now), self._policies())
            self._due_at = self._store.next_told_at(now)
            return self._table

    def _now(self) -> float:
        return self._clock.wall_ns() / 1e9


def table_of(ballots: Iterable[Ballot], policies: list[str]) -> Table:
    """The table of these votes; what `arena leaderboard compute FILE` runs on the download."""
    votes, updated_at = [], None
    for ballot in counted(ballots):
        votes.append(Vote(ballot.left, ballot.right, ballot.winner, ballot.whose))
        updated_at = max(ballot.at, updated_at or 0.0)
    return Table(rate(votes, policies, seed=SEED), updated_at, _wins(votes))


def _wins(votes: list[Vote]) -> dict[str, dict[str, float]]:
    wins: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for vote in votes:
        left = 1.0 if vote.winner == LEFT else 0.0 if vote.winner == RIGHT else 0.5
        wins[vote.left][vote.right] += left
        wins[vote.right][vote.left] += 1.0 - left
    return {policy: dict(row) for policy, row in wins.items()}
