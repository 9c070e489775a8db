# SPDX-License-Identifier: Apache-2.0
"""One number for each joint, in a known order: nothing is padded, cut or guessed."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase


class ShapeNames(Check):
    """REJECT unless the action is a float per joint, under exactly the arm's joint names in its order."""

    name: ClassVar[str] = "shape_names"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.SHAPE

    def examine(self, given: CheckInput) -> Finding:
        action, names = given.action, given.proposed_names
        if not isinstance(action, tuple) or not {float}.issuperset(map(type, action)):
            kinds = (
                sorted({type(value).__name__ for value in action})
                if isinstance(action, tuple)
                else [type(action).__name__]
            )
            return Finding(Decision.REJECT, f"The action is not made of floats: {', '.join(kinds)}.")
        if len(action) != len(given.joint_names):
            return Finding(
                Decision.REJECT, f"The action has {len(action)} values for {len(given.joint_names)} joints."
            )
        if names != given.joint_names:
            return Finding(
                Decision.REJECT,
                f"The action names the joints {', '.join(names) or '(none)'}; "
                f"this arm has {', '.join(given.joint_names)}.",
            )
        return PASSED
