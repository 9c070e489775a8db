# SPDX-License-Identifier: Apache-2.0
"""A threshold with a promise: split conformal prediction over whole episodes.

Of episodes like those it was set on, at most a share `alpha` has any score above it, on average over calibrations
(Vovk et al. 2005; Angelopoulos & Bates 2021, arXiv 2107.07511, §1). The episodes must be successful ones that the
detector was not fitted on. Nothing is promised about episodes that differ from them.
"""

from collections.abc import Sequence
from math import ceil, floor, isfinite

import numpy as np

from lerobot_arena.core.errors import InvalidInput

# 20 × 0.05 is 1, though not always in binary.
_ROUNDING = 1e-9


def episodes_needed(alpha: float) -> int:
    """The fewest episodes a threshold for `alpha` can be set on. Raises InvalidInput unless 0 < alpha < 1."""
    if not 0.0 < alpha < 1.0:
        raise InvalidInput(f"alpha is the share of false alarms, between 0 and 1; {alpha!r} is not.")
    return max(1, ceil(1.0 / alpha - _ROUNDING) - 1)


def conformal_threshold(scores_per_episode: Sequence[Sequence[float]], alpha: float) -> float:
    """The ⌈(n+1)(1−alpha)⌉-th smallest of n episodes' largest scores; a score above it is an alarm.

    Raises InvalidInput for an episode without scores, a score that is not finite, or too few episodes, saying how many
    it takes.
    """
    needed, count = episodes_needed(alpha), len(scores_per_episode)
    if count < needed:
        raise InvalidInput(
            f"A false-alarm share of {alpha:g} takes {needed} successful episodes that the detector was not fitted on; "
            f"there are {count}. Record {needed - count} more{_or_accept(count)}."
        )
    largest = [_largest(scores, index) for index, scores in enumerate(scores_per_episode)]
    allowed = floor((count + 1) * alpha + _ROUNDING)
    return float(np.sort(largest)[count - allowed])


def _or_accept(count: int) -> str:
    return f", or accept a share of {ceil(1000 / (count + 1)) / 1000:g}" if count else ""


def _largest(scores: Sequence[float], index: int) -> float:
    if not len(scores):
        raise InvalidInput(f"Episode {index} has no scores.")
    largest = float(np.max(scores))
    if not isfinite(largest):
        raise InvalidInput(f"Episode {index} has a score that is not finite.")
    return largest
