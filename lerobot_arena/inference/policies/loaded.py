# SPDX-License-Identifier: Apache-2.0
"""Are the weights in memory those of the file? LeRobot's pi0 family only prints when they don't fit, and goes on."""

from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import PolicyError

# LeRobot 0.6.1: their `from_pretrained` catches every exception and keeps the weights it drew at random.
SWALLOWS_ERRORS = frozenset({"pi0", "pi05", "pi0_fast"})
_PREFIX = "model."
_COMPARED = 64


def check_loaded(policy: Any, weights: Path) -> None:
    """Raise PolicyError when a tensor of the policy is not in the file, or is not what the file says.

    Every name and shape is compared, and the values of the smallest tensors.
    """
    import torch
    from safetensors import safe_open

    state = policy.state_dict()
    with safe_open(weights, framework="pt") as file:
        names = {_name_in(state, name): name for name in file.keys()}  # noqa: SIM118  no mapping
        known = {state[name].data_ptr() for name in names if name in state}
        absent = [name for name in state if name not in names and state[name].data_ptr() not in known]
        if absent:
            raise PolicyError(
                f"{weights} lacks {len(absent)} of the network's tensors, the first of them {absent[0]!r}: it was made "
                "by another version of LeRobot, or for another configuration."
            )
        found = sorted((name for name in names if name in state), key=lambda name: state[name].numel())
        for name in found:
            if tuple(file.get_slice(names[name]).get_shape()) != tuple(state[name].shape):
                raise PolicyError(f"{weights}: {names[name]!r} has another shape than the network's.")
        for name in found[:_COMPARED]:
            ours = state[name].to("cpu")
            if not torch.equal(file.get_tensor(names[name]).to(ours.dtype), ours):
                raise PolicyError(f"{weights} was not loaded: {names[name]!r} differs in memory.")


def _name_in(state: Any, name: str) -> str:
    return name if name in state else _PREFIX + name
