# SPDX-License-Identifier: Apache-2.0
"""The backends. One more is one file and one line here; the contract suite then runs over it."""

from lerobot_arena.core.registry import Registry

BACKENDS = Registry(
    "embodiment backend",
    {
        "mujoco": "lerobot_arena.embodiment.mujoco_backend:make",
        "lerobot": "lerobot_arena.embodiment.lerobot_backend:make",
        "topics": "lerobot_arena.embodiment.topics_backend:make",
    },
)
