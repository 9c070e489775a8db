# SPDX-License-Identifier: Apache-2.0
"""Which joints a check watches: a gripper that squeezes something is no arm that is stuck."""

from collections.abc import Sequence

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.guard.checks.protocol import Body

GRIPPERS = ("gripper",)


def watched_joints(body: Body, exclude: Sequence[str]) -> tuple[int, ...]:
    """Indices of the joints whose name is not excluded; `gripper` also stands for `left_gripper`.

    Raises InvalidInput for a name that no joint has, and when nothing is left to watch.
    """
    for name in exclude:
        if name not in GRIPPERS and not any(_means(name, joint) for joint in body.joint_names):
            raise InvalidInput(
                f"exclude: there is no joint {name!r}.{strict.did_you_mean(name, body.joint_names)}"
            )
    found = tuple(
        index
        for index, joint in enumerate(body.joint_names)
        if not any(_means(name, joint) for name in exclude)
    )
    if not found:
        raise InvalidInput("exclude names every joint: nothing is left to watch.")
    return found


def _means(name: str, joint: str) -> bool:
    return joint == name or joint.endswith(f"_{name}")
