# SPDX-License-Identifier: Apache-2.0
"""Terms of the joints from which a picture is predicted: a constant, each joint, and with few joints their products.

What the arm's own pose explains of a picture is no surprise; what contradicts it, such as an old picture, is.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.inference.scores.features import Vector

# Products of more joints would be more numbers than a recording can tell.
MOST_MULTIPLIED = 16


def count_terms(joints: int) -> int:
    """How many terms `joints` joints give."""
    products = joints * (joints + 1) // 2 if joints <= MOST_MULTIPLIED else 0
    return 1 + joints + products


def terms_of(state: NDArray[np.floating], centre: Vector, scale: Vector) -> Vector:
    """`state` is one state or N×joints; terms along the last axis, the constant first."""
    values = ((state - centre) / scale).astype(np.float32)
    parts = [np.ones_like(values[..., :0], shape=(*values.shape[:-1], 1)), values]
    if values.shape[-1] <= MOST_MULTIPLIED:
        first, second = _pairs(values.shape[-1])
        parts.append(values[..., first] * values[..., second])
    return np.concatenate(parts, axis=-1)


@cache
def _pairs(joints: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first, second = np.triu_indices(joints)
    return first, second
