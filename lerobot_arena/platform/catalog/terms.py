# SPDX-License-Identifier: Apache-2.0
"""The observation terms both runners know: how wide each is, and what it needs of the robot.

Names are those of mjlab (`joint_pos`, `actions`, `command`) and of Isaac Lab's deployments (`joint_pos_rel`,
`last_action`, `velocity_commands`); both spellings of a pair mean the same.
"""

from dataclasses import dataclass

PER_JOINT = 0


@dataclass(frozen=True, slots=True)
class TermKind:
    """`width` numbers, or one for each joint of the policy; `needs_base` terms have no meaning without a free joint."""

    width: int = PER_JOINT
    needs_base: bool = False
    params: tuple[str, ...] = ()

    def width_for(self, joints: int) -> int:
        """Numbers of one reading."""
        return joints if self.width == PER_JOINT else self.width


TERMS: dict[str, TermKind] = {
    "base_lin_vel": TermKind(3, needs_base=True),
    "base_ang_vel": TermKind(3, needs_base=True),
    "projected_gravity": TermKind(3, needs_base=True),
    "joint_pos": TermKind(),
    "joint_pos_rel": TermKind(),
    "joint_vel": TermKind(),
    "joint_vel_rel": TermKind(),
    "actions": TermKind(),
    "last_action": TermKind(),
    "command": TermKind(3),
    "velocity_commands": TermKind(3),
    "gait_phase": TermKind(2, params=("period",)),
}
