# SPDX-License-Identifier: Apache-2.0
"""A measured position that no arm can have moved to: an encoder glitch, or a simulator that was reset."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.reaction import STOP
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class TeleportParams:
    """How far a joint may be from where it was measured last: factor x velocity limit x time, and a tolerance."""

    factor: float = bound(1.5, "Times the robot's velocity limit.", tighter=LOWER, lowest=1.0, highest=10.0)
    jitter_s: float = bound(
        0.05, "By how much two joint states may be further apart than their receipt.",
        tighter=LOWER, lowest=0.0, highest=1.0,
    )  # fmt: skip
    tolerance_share: float = bound(
        0.05,
        "What is allowed on top, as a share of each joint's range.",
        tighter=LOWER,
        lowest=0.0,
        highest=1.0,
    )


class Teleport(Check):
    """FAULT in the cycle in which a running arm is somewhere it cannot have moved to since the measurement before.

    The run stops: where the arm is now is known only to whoever starts it again.
    """

    name: ClassVar[str] = "teleport"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = TeleportParams
    reaction: ClassVar[str] = STOP

    params: TeleportParams

    def __init__(self, params: TeleportParams, body: Body) -> None:
        super().__init__(params, body)
        limits = body.limits
        self._tolerance = [
            params.tolerance_share * (high - low) for low, high in zip(limits.lower, limits.upper)
        ]
        self._speed = [params.factor * limit for limit in limits.max_velocity]
        self._last: Vector = ()
        self._received_s = 0.0

    def examine(self, given: CheckInput) -> Finding:
        before, before_s = self._last, self._received_s
        if given.joint_age_s < 0.0 or len(given.measured) != len(self._speed):
            return PASSED  # joint_age objects
        self._last, self._received_s = given.measured, given.now_s - given.joint_age_s
        # While nothing runs the arm may be moved by hand, and a scene be reset.
        if not before or given.run_s <= 0.0:
            return PASSED
        time_s = max(0.0, self._received_s - before_s) + self.params.jitter_s
        for index, (old, new) in enumerate(zip(before, given.measured)):
            if not abs(new - old) <= self._speed[index] * time_s + self._tolerance[index]:
                return Finding(
                    Decision.FAULT,
                    f"{given.joint_names[index]} was measured at {old:.4g} and now at {new:.4g} {given.unit}: no arm "
                    "moves that fast. Look at the arm, then start again.",
                )
        return PASSED
