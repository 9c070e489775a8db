# SPDX-License-Identifier: Apache-2.0
"""A policy that keeps changing its mind: what a new chunk plans, compared with what the one before planned.

The idea is STAC's of Sentinel (arXiv 2410.04640), for one sample instead of a distribution: no weights, no learning.
"""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.reaction import HOLD
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase

# An arm this far from its plan, as a share of what two plans may differ, makes the next plan differ too.
_BEHIND = 0.5


@dataclass(frozen=True, slots=True)
class ChunkOverlapParams:
    """How far two plans may be apart, and how often in a row."""

    # In 77 successes of the shipped policy the largest was 0.056 and the largest pair in a row 0.041; in its three
    # failures, and with its camera covered, pairs of 0.07 to 0.10 in a row. Chosen on those same episodes.
    max_share: float = bound(
        0.06,
        "Root mean square over the common future of two chunks, as a share of the joints' ranges.",
        tighter=LOWER,
        lowest=0.001,
        highest=2.0,
    )
    in_row: int = bound(
        2,
        "Chunks in a row before they are rejected; the first ones are warnings.",
        tighter=LOWER,
        lowest=1,
        highest=100,
    )


class ChunkOverlap(Check):
    """A warning with each chunk that contradicts the one it replaced; REJECT from the `in_row`-th in a row on.

    A chunk that had nothing to be compared with starts the count again. So does one that found the arm far behind the
    plan before, as it is while it has to go slower: that plan was not wrong, it was not followed.
    """

    name: ClassVar[str] = "chunk_overlap"
    layer: ClassVar[str] = "L0"
    phase: ClassVar[Phase] = Phase.SHAPE
    params_type: ClassVar[type] = ChunkOverlapParams
    may_slow: ClassVar[bool] = True
    hardest: ClassVar[str] = HOLD

    params: ChunkOverlapParams

    def __init__(self, params: ChunkOverlapParams, body: Body) -> None:
        super().__init__(params, body)
        self._sequence = -1
        self._in_row = 0
        self._spans = [high - low for low, high in zip(body.limits.lower, body.limits.upper)]
        self._behind = 0.0

    def examine(self, given: CheckInput) -> Finding:
        is_new = given.chunk_sequence != self._sequence
        if is_new:
            self._sequence = given.chunk_sequence
            # Written so that NaN, which compares false with everything, is far.
            is_far = given.overlap is not None and not given.overlap <= self.params.max_share
            was_followed = self._behind <= _BEHIND * self.params.max_share
            self._in_row = self._in_row + 1 if is_far and was_followed else 0
        self._behind = self._distance(given)
        if self._in_row >= self.params.in_row:
            return Finding(
                Decision.REJECT,
                f"{self._in_row} chunks in a row contradict the one before, the latest by {self._shown(given)}: the "
                "policy does not know this situation.",
            )
        if is_new and self._in_row:
            return Finding(
                Decision.CLAMP, f"The new chunk differs from the plan it replaced by {self._shown(given)}."
            )
        return PASSED

    def _distance(self, given: CheckInput) -> float:
        """From the last command to what the plan wants now: root mean square, as a share of the ranges."""
        if len(given.previous_command) != len(given.action):
            return 0.0
        shares = [(a - b) / span for a, b, span in zip(given.action, given.previous_command, self._spans)]
        return sqrt(sum(share * share for share in shares) / len(shares)) if shares else 0.0

    def _shown(self, given: CheckInput) -> str:
        share = given.overlap if given.overlap is not None else 0.0
        return f"{share:.0%} of the joints' ranges, {self.params.max_share:.0%} are usual"
