# SPDX-License-Identifier: Apache-2.0
"""A policy that wants exactly the same, chunk after chunk, whatever it sees."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import Vector

_FEWEST_CHUNKS = 3
_LONGEST_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class FrozenPolicyParams:
    """How long, and what has to change meanwhile."""

    window_s: float = bound(
        3.0, "How long an action may stay the same.", tighter=LOWER, lowest=0.1, highest=600.0
    )
    moved_share: float = bound(
        0.05,
        "Measured movement meanwhile, as a share of a joint's range.",
        tighter=LOWER,
        lowest=0.001,
        highest=1.0,
    )


class FrozenPolicy(Check):
    """A warning while the action is bit for bit the same over `window_s` and several chunks, and the world is not.

    The world changed when the arm moved in the second half of that time, or a score of its pictures did. Never more
    than a warning: a policy may have good reasons to stay.
    """

    name: ClassVar[str] = "frozen_policy"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.SHAPE
    params_type: ClassVar[type] = FrozenPolicyParams

    params: FrozenPolicyParams

    def __init__(self, params: FrozenPolicyParams, body: Body) -> None:
        super().__init__(params, body)
        self._spans = [high - low for low, high in zip(body.limits.lower, body.limits.upper)]
        self._action: Vector = ()
        self._since_s = self._seen_s = 0.0
        self._first_chunk = 0
        self._scores: dict[str, float] = {}
        self._settled: Vector = ()

    def examine(self, given: CheckInput) -> Finding:
        gap_s, self._seen_s = given.now_s - self._seen_s, given.now_s
        if given.action != self._action or gap_s > _LONGEST_GAP_S:
            self._action, self._since_s, self._first_chunk = given.action, given.now_s, given.chunk_sequence
            self._scores = {name: score.value for name, score in given.scores.items()}
            self._settled = ()
            return PASSED
        same_s = given.now_s - self._since_s
        # An arm that still travels to where it was sent has not been moved by anything else.
        if not self._settled and same_s >= 0.5 * self.params.window_s:
            self._settled = given.measured
        chunks = given.chunk_sequence - self._first_chunk
        if same_s < self.params.window_s or chunks < _FEWEST_CHUNKS or not self._has_changed(given):
            return PASSED
        return Finding(
            Decision.CLAMP,
            f"The policy has wanted exactly the same for {same_s:.1f} s and {chunks} chunks; what it sees changed.",
        )

    def _has_changed(self, given: CheckInput) -> bool:
        has_moved = any(
            abs(now - then) > self.params.moved_share * span
            for now, then, span in zip(given.measured, self._settled, self._spans)
        )
        return has_moved or any(
            score.value != self._scores[name] for name, score in given.scores.items() if name in self._scores
        )
