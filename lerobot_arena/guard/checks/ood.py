# SPDX-License-Identifier: Apache-2.0
"""Observations unlike those the policy was trained on; the number comes from inference, with the action chunk."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.hardware import Score
from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.core.reaction import HOLD
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.scored import is_suspicious, shown, staleness

SCORE = "ood"


@dataclass(frozen=True, slots=True)
class OutOfDistributionParams:
    """The threshold was calibrated with the detector; here is how it is used."""

    threshold_scale: float = bound(
        1.0, "Times the calibrated threshold.", tighter=LOWER, lowest=0.1, highest=100.0
    )
    in_row: int = bound(
        1, "Observations in a row before they are rejected.", tighter=LOWER, lowest=1, highest=100
    )
    max_age_s: float = bound(2.0, "Age of the scored observation.", tighter=LOWER, lowest=0.05, highest=60.0)
    required: bool = bound(False, "REJECT without a fresh score, instead of a warning.", tighter=HIGHER)


class OutOfDistribution(Check):
    """REJECT from the `in_row`-th observation above the threshold on, until one is below it again.

    Without a fresh score: REJECT when it is required, else a warning; nothing with a policy that never had one.
    """

    name: ClassVar[str] = "ood"
    layer: ClassVar[str] = "L0"
    phase: ClassVar[Phase] = Phase.SHAPE
    params_type: ClassVar[type] = OutOfDistributionParams
    may_slow: ClassVar[bool] = True
    hardest: ClassVar[str] = HOLD

    params: OutOfDistributionParams

    def __init__(self, params: OutOfDistributionParams, body: Body) -> None:
        super().__init__(params, body)
        self._sequence = -1
        self._in_row = 0
        self._had_one = False

    def examine(self, given: CheckInput) -> Finding:
        score = given.scores.get(SCORE)
        if score is None:
            if not self.params.required and not self._had_one:
                return PASSED
            return self._without("The policy gives no out-of-distribution score.")
        self._had_one = True
        if problem := staleness(given, self.params.max_age_s):
            return self._without(problem)
        scaled = Score(SCORE, score.value, score.threshold * self.params.threshold_scale)
        if given.chunk_sequence != self._sequence:
            self._sequence = given.chunk_sequence
            self._in_row = self._in_row + 1 if is_suspicious(scaled) else 0
        if self._in_row < self.params.in_row:
            return PASSED
        return Finding(
            Decision.REJECT, f"The cameras show what the policy was not trained on: {shown({SCORE: scaled})}."
        )

    def _without(self, problem: str) -> Finding:
        return Finding(Decision.REJECT if self.params.required else Decision.CLAMP, problem)
