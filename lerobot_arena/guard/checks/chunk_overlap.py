# SPDX-License-Identifier: Apache-2.0
"""A policy that keeps changing its mind: what a new chunk plans, compared with what the one before planned.

The idea is STAC's of Sentinel (arXiv 2410.04640), for one sample instead of a distribution: no weights, no learning.
"""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.reaction import HOLD
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class ChunkOverlapParams:
    """How far two plans may be apart, and how often in a row."""

    max_share: float = bound(
        0.15,
        "Root mean square over the common future of two chunks, as a share of the joints' ranges.",
        tighter=LOWER,
        lowest=0.001,
        highest=2.0,
    )
    in_row: int = bound(
        3,
        "Chunks in a row before they are rejected; the first ones are warnings.",
        tighter=LOWER,
        lowest=1,
        highest=100,
    )


class ChunkOverlap(Check):
    """A warning with each chunk that contradicts the one it replaced; REJECT from the `in_row`-th in a row on.

    A chunk that had nothing to be compared with starts the count again.
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

    def examine(self, given: CheckInput) -> Finding:
        is_new = given.chunk_sequence != self._sequence
        if is_new:
            self._sequence = given.chunk_sequence
            # Written so that NaN, which compares false with everything, is far.
            is_far = given.overlap is not None and not given.overlap <= self.params.max_share
            self._in_row = self._in_row + 1 if is_far else 0
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

    def _shown(self, given: CheckInput) -> str:
        share = given.overlap if given.overlap is not None else 0.0
        return f"{share:.0%} of the joints' ranges, {self.params.max_share:.0%} are usual"
