# SPDX-License-Identifier: Apache-2.0
"""All scorers of one session."""

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.hardware import Score
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.scores.protocol import Scorer, Seen
from lerobot_arena.inference.scores.table import SCORERS


class Scoring:
    """Used by one thread at a time."""

    def __init__(self, manifest: PolicyManifest) -> None:
        """Raises PolicyError when a file beside the policy's weights cannot be used."""
        made = (SCORERS.load(name)(manifest) for name in SCORERS)
        self._scorers: list[Scorer] = [scorer for scorer in made if scorer is not None]

    def reset(self) -> None:
        """A run begins."""
        for scorer in self._scorers:
            scorer.reset()

    def scores(self, seen: Seen) -> tuple[Score, ...]:
        """Of one observation."""
        return tuple(score for scorer in self._scorers for score in scorer.score(seen))


class Look:
    """The scores of one observation, computed when called: while the policy computes, so that no chunk waits."""

    def __init__(self, scoring: Scoring | None, seen: Seen, clock: Clock, *, reset: bool) -> None:
        self._scoring, self._seen, self._clock, self._reset = scoring, seen, clock, reset
        self.scores: tuple[Score, ...] = ()
        self.stage_ms: dict[str, float] = {}

    def __call__(self) -> None:
        if self._scoring is None:
            return
        started_ns = self._clock.steady_ns()
        if self._reset:
            self._scoring.reset()
        self.scores = self._scoring.scores(self._seen)
        self.stage_ms = {"scores": (self._clock.steady_ns() - started_ns) / 1e6}
