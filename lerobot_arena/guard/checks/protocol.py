# SPDX-License-Identifier: Apache-2.0
"""What a check sees and answers. A new check is one file with one class, and its line in table.py."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, ClassVar, Protocol

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.limiter import Vector


class Phase(IntEnum):
    """Order of work. A later phase is asked only while the earlier ones allow motion."""

    SENSE = 0  # is it safe to move at all; asked in every cycle, with or without an action
    SHAPE = 1  # can the action be read
    LIMIT = 2  # may it be executed as it is; the only phase that may change it


@dataclass(frozen=True, slots=True)
class JointLimits:
    """Bounds per joint as plain floats, in the unit the arm is checked in."""

    lower: Vector
    upper: Vector
    max_velocity: Vector
    max_acceleration: Vector


@dataclass(frozen=True, slots=True)
class CheckInput:
    """One cycle. Vectors are in `unit`, in the order of `joint_names`; velocities in that unit per second.

    `proposed` is None when nothing was due, and `absence` then says why. Ages are seconds on the guard's steady
    clock; `joint_age_s` is negative before the first joint message. `dt_s` is the time this step may use.
    """

    joint_names: tuple[str, ...]
    unit: str
    limits: JointLimits
    dt_s: float
    measured: Vector
    joint_age_s: float
    previous_command: Vector
    previous_velocity: Vector
    proposed: Vector | None
    proposed_names: tuple[str, ...] = ()
    action_age_s: float = 0.0
    absence: str = ""
    is_waiting: bool = False
    joint_refusal: str = ""
    foreign_publishers: tuple[str, ...] = ()
    late_in_row: int = 0

    @property
    def action(self) -> Vector:
        """The proposed action, in the phases that are only asked when there is one."""
        if self.proposed is None:
            raise ValueError("This check was asked for an action in a cycle that has none.")
        return self.proposed

    def with_action(self, action: Vector) -> "CheckInput":
        return replace(self, proposed=action)


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's answer; `action` only with CLAMP, from the LIMIT phase."""

    decision: Decision = Decision.PASS
    reason: str = ""
    action: Vector | None = None


PASSED = Finding()


@dataclass(frozen=True, slots=True)
class NoParams:
    """Of a check without parameters."""


class Check(Protocol):
    """One instance serves one run of one arm, from its control thread only.

    `examine` blames the action with REJECT, a sensor or the machine with FAULT. Raising, changing an action outside
    the LIMIT phase, and taking longer than the budget are faults of the check.
    """

    name: ClassVar[str]
    layer: ClassVar[str]
    phase: ClassVar[Phase]
    params_type: ClassVar[type]

    def __init__(self, params: Any) -> None: ...

    def examine(self, given: CheckInput) -> Finding: ...
