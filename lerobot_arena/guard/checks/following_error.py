# SPDX-License-Identifier: Apache-2.0
"""An arm that does not get where it is sent: blocked, too weak, or not listening."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import LOWER, bound
from lerobot_arena.core.reaction import STOP
from lerobot_arena.core.units import RADIANS
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.watched_joints import GRIPPERS, watched_joints

# An error that shrank by this share since it was first too large is being worked off.
_PROGRESS = 0.1
_LONGEST_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class FollowingErrorParams:
    """How far behind its command a joint may be, and for how long."""

    limit_rad: float = bound(
        0.25, "Distance between command and measurement.", tighter=LOWER, lowest=0.01, highest=3.2
    )
    limits: tuple[float, ...] = bound(
        (), "The same per joint and in the arm's unit, instead of limit_rad.",
        tighter=LOWER, lowest=1e-6, is_per_joint=True,
    )  # fmt: skip
    lag_s: float = bound(
        0.2,
        "Servo lag: commanded speed times this is allowed on top.",
        tighter=LOWER,
        lowest=0.0,
        highest=2.0,
    )
    window_s: float = bound(
        0.5,
        "How long it may be further behind without catching up.",
        tighter=LOWER,
        lowest=0.02,
        highest=30.0,
    )
    exclude: tuple[str, ...] = bound(GRIPPERS, "Joints that may press against something.")


class FollowingError(Check):
    """FAULT when a joint stays too far from its last command for `window_s` and does not catch up.

    The hold that follows is where the arm is, so that it stops pushing; the run stops, or it would push again.
    """

    name: ClassVar[str] = "following_error"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = FollowingErrorParams
    reaction: ClassVar[str] = STOP

    params: FollowingErrorParams

    def __init__(self, params: FollowingErrorParams, body: Body) -> None:
        super().__init__(params, body)
        if not params.limits and body.unit != RADIANS:
            raise InvalidInput(
                f"limit_rad says nothing about an arm in {body.unit}: give limits, a number per joint in that unit."
            )
        self._watched = watched_joints(body, params.exclude)
        self._limits = params.limits or (params.limit_rad,) * len(body.joint_names)
        self._behind: dict[int, tuple[float, float]] = {}
        self._seen_s = 0.0

    def examine(self, given: CheckInput) -> Finding:
        gap_s, self._seen_s = given.now_s - self._seen_s, given.now_s
        count = len(self._limits)
        has_both = len(given.previous_command) == len(given.measured) == count
        if not has_both or given.run_s <= 0.0 or gap_s > _LONGEST_GAP_S:
            self._behind.clear()
        if not has_both or given.run_s <= 0.0:
            return PASSED
        velocity = given.previous_velocity if len(given.previous_velocity) == count else (0.0,) * count
        for index in self._watched:
            error = abs(given.previous_command[index] - given.measured[index])
            allowed = self._limits[index] + self.params.lag_s * abs(velocity[index])
            if self._is_stuck(index, error, allowed, given.now_s):
                return Finding(
                    Decision.FAULT,
                    f"{given.joint_names[index]} has been {error:.3g} {given.unit} from its command for "
                    f"{self.params.window_s:g} s; {allowed:.3g} are allowed. Is the arm blocked?",
                    hold_at_measured=True,
                )
        return PASSED

    def _is_stuck(self, index: int, error: float, allowed: float, now_s: float) -> bool:
        if error <= allowed:
            self._behind.pop(index, None)
            return False
        since_s, first = self._behind.setdefault(index, (now_s, error))
        if error < (1.0 - _PROGRESS) * first:
            self._behind[index] = (now_s, error)
            return False
        return now_s - since_s >= self.params.window_s
