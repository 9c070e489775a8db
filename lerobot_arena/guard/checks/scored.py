# SPDX-License-Identifier: Apache-2.0
"""Judging a number that inference computed from an observation: there, fresh, and below its threshold."""

from collections.abc import Mapping

from lerobot_arena.core.hardware import Score
from lerobot_arena.guard.checks.protocol import CheckInput


def staleness(given: CheckInput, max_age_s: float) -> str:
    """Why the scores cannot be used; empty when they can. A run's first chunk brings the first ones."""
    if 0.0 <= given.scores_age_s <= max_age_s:
        return ""
    if given.scores_age_s < 0.0:
        return "No observation was scored yet."
    return f"The latest scores are {given.scores_age_s:.1f} s old; {max_age_s:g} s are allowed."


def is_suspicious(score: Score) -> bool:
    """Above its threshold. A number that is none is suspicious too."""
    return not score.value <= score.threshold


def shown(scores: Mapping[str, Score]) -> str:
    """For a reason."""
    return ", ".join(
        f"{name} {score.value:.3g} (limit {score.threshold:.3g})" for name, score in scores.items()
    )
