# SPDX-License-Identifier: Apache-2.0
"""Every scorer: one line here, one file beside it, and the contract suite runs over all of them."""

from lerobot_arena.core.registry import Registry

_HERE = "lerobot_arena.inference.scores"

SCORERS = Registry(
    "scorer",
    {
        "ood": f"{_HERE}.ood:make",
        "frozen": f"{_HERE}.frozen:make",
        "dark": f"{_HERE}.dark:make",
    },
)
