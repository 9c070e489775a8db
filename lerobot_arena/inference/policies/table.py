# SPDX-License-Identifier: Apache-2.0
"""Every policy kind: one line here, one file beside it, and the contract suite runs over all of them."""

from lerobot_arena.core.registry import Registry
from lerobot_arena.inference.manifest import PolicyManifest

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
# Kind and policy type → how many observations one call takes at most; its model is a protocol.BatchedModel. A line
# needs a gain in bench/sessions.py: without one a batch only makes its first session wait for its last.
BATCHES = {("lerobot", "act"): 8}


def batch_limit(manifest: PolicyManifest) -> int:
    """How many sessions this policy can answer in one call; 1 where its call keeps state."""
    return 1 if manifest.keeps_state else BATCHES.get((manifest.kind, manifest.policy_type), 1)
