# SPDX-License-Identifier: Apache-2.0
"""Joint states that keep coming and say the same, while the arm is sent elsewhere."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.watched_joints import GRIPPERS, watched_joints
from lerobot_arena.guard.limiter import Vector

_LONGEST_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class FrozenSensorParams:
    """How long, and how far the commands have to move meanwhile."""

    window_s: float = bound(
        1.0, "How long all joints may read exactly the same.", tighter=LOWER, lowest=0.05, highest=30.0
    )
    moved_share: float = bound(
        0.02,
        "Command of any joint since then, as a share of its range.",
        tighter=LOWER,
        lowest=0.001,
        highest=1.0,
    )
    exclude: tuple[str, ...] = bound(
        GRIPPERS, "Joints whose commands prove nothing: they may press on something."
    )


class FrozenSensor(Check):
    """FAULT while every joint has read bit for bit the same for `window_s` and the commands have moved on."""

    name: ClassVar[str] = "frozen_sensor"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = FrozenSensorParams

    params: FrozenSensorParams

    def __init__(self, params: FrozenSensorParams, body: Body) -> None:
        super().__init__(params, body)
        self._watched = watched_joints(body, params.exclude)
        limits = body.limits
        self._threshold = [params.moved_share * (high - low) for low, high in zip(limits.lower, limits.upper)]
        self._same: Vector = ()
        self._since_s = 0.0
        self._sent: Vector = ()
        self._seen_s = 0.0

    def examine(self, given: CheckInput) -> Finding:
        gap_s, self._seen_s = given.now_s - self._seen_s, given.now_s
        has_both = len(given.previous_command) == len(given.measured) == len(self._threshold)
        if not has_both or given.run_s <= 0.0:
            self._same = ()
            return PASSED
        if given.measured != self._same or len(self._sent) != len(given.measured) or gap_s > _LONGEST_GAP_S:
            self._same, self._since_s, self._sent = given.measured, given.now_s, given.previous_command
            return PASSED
        same_s = given.now_s - self._since_s
        if same_s < self.params.window_s:
            return PASSED
        for index in self._watched:
            moved = abs(given.previous_command[index] - self._sent[index])
            if moved > self._threshold[index]:
                return Finding(
                    Decision.FAULT,
                    f"The joint state has not changed by a bit for {same_s:.1f} s, while {given.joint_names[index]} "
                    f"was sent {moved:.3g} {given.unit} further. See whether the driver still reads the arm.",
                )
        return PASSED
