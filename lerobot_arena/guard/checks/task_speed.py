# SPDX-License-Identifier: Apache-2.0
"""A task has its own idea of fast: what is left of an action after the limits may still be too fast for it."""

from dataclasses import dataclass
from math import hypot
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase

_FASTEST = 1e6
# The limiters may leave a speed a rounding above the number they kept it to.
_ROUNDING = 1.0 + 1e-6


@dataclass(frozen=True, slots=True)
class TaskSpeedParams:
    """How fast, in the arm's unit per s."""

    max_norm: float = bound(
        _FASTEST, "Largest norm of all joint velocities.", tighter=LOWER, lowest=1e-3, highest=_FASTEST
    )
    max_joint_speed: float = bound(
        _FASTEST, "Largest velocity of any joint.", tighter=LOWER, lowest=1e-3, highest=_FASTEST
    )


class TaskSpeed(Check):
    """REJECT an action that moves the joints faster than the task allows."""

    name: ClassVar[str] = "task_speed"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.JUDGE
    params_type: ClassVar[type] = TaskSpeedParams
    may_slow: ClassVar[bool] = True

    params: TaskSpeedParams

    def examine(self, given: CheckInput) -> Finding:
        speeds = [abs(end - start) / given.dt_s for start, end in zip(given.previous_command, given.action)]
        norm = hypot(*speeds)
        if norm > self.params.max_norm * _ROUNDING:
            return Finding(
                Decision.REJECT,
                f"The joints move at {norm:.3g}/s together; the task allows {self.params.max_norm:g}.",
            )
        fastest = max(speeds)
        if fastest <= self.params.max_joint_speed * _ROUNDING:
            return PASSED
        joint = given.joint_names[speeds.index(fastest)]
        return Finding(
            Decision.REJECT,
            f"{joint} moves at {fastest:.3g}/s; the task allows {self.params.max_joint_speed:g}.",
        )
