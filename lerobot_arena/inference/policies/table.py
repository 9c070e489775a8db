# SPDX-License-Identifier: Apache-2.0
"""Every policy kind: one line here, one file beside it, and the contract suite runs over all of them."""

from lerobot_arena.core.registry import Registry

_HERE = "lerobot_arena.inference.policies"

POLICIES = Registry(
    "policy kind",
    {
        "lerobot": f"{_HERE}.lerobot_policy:load",
        "onnx": f"{_HERE}.onnx_policy:load",
        "replay": f"{_HERE}.replay_policy:load",
        "hold": f"{_HERE}.hold_policy:load",
    },
)
