# SPDX-License-Identifier: Apache-2.0
"""What a check sees and answers. A new check is one file with one class, and its line in table.py."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.reaction import EMERGENCY_STOP, HOLD
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.limiter import Vector


class Phase(IntEnum):
    """Order of work. A later phase is asked only while the earlier ones allow motion."""

    SENSE = 0  # is it safe to move at all; asked in every cycle, with or without an action, also while nothing runs
    SHAPE = 1  # can the action be read, and was it meant
    LIMIT = 2  # may it be executed as it is; the only phase that may change it
    JUDGE = 3  # may what the limits left of it be executed; sees the final action, and only says yes or no


@dataclass(frozen=True, slots=True)
class JointLimits:
    """Bounds per joint as plain floats, in the unit the arm is checked in."""

    lower: Vector
    upper: Vector
    max_velocity: Vector
    max_acceleration: Vector

    def slowed(self, factor: float) -> "JointLimits":
        """The same range at a share of the speed."""
        return replace(self, max_velocity=tuple(factor * value for value in self.max_velocity))


@dataclass(frozen=True, slots=True)
class Pose:
    """The end effector in the robot's base frame: `position_m` x y z, `up` the tool axis as a unit vector."""

    position_m: tuple[float, float, float]
    up: tuple[float, float, float]

    def __post_init__(self) -> None:
        # A comparison with NaN is false: no check would find anything wrong with it.
        if not all(map(isfinite, self.position_m)) or not all(map(isfinite, self.up)):
            raise ValueError("The arm's model has no solution: the end effector is nowhere.")


TABLE = "table"
WIDEST_MARGIN_M = 0.01


class Geometry(Protocol):
    """What a robot model knows of a joint vector in radians; both answers come from a small cache.

    `moves_tool` says of each joint whether the end effector's pose depends on it.
    """

    moves_tool: tuple[bool, ...]

    def pose(self, joints_rad: Vector) -> Pose: ...

    def near(self, joints_rad: Vector) -> Mapping[tuple[str, str], float]:
        """Pairs of parts, or TABLE and a part, nearer than WIDEST_MARGIN_M → gap in m, negative by how deep they
        overlap. Neighbours by design do not count."""


@dataclass(frozen=True, slots=True)
class Body:
    """The arm that a run's checks are built for; `geometry` is None when no model of it is known.

    `opening` is per joint 1 where a larger value opens a gripper, -1 where it closes one, 0 for other joints; without
    it a joint named gripper opens upwards.
    """

    joint_names: tuple[str, ...]
    unit: str
    limits: JointLimits
    period_s: float = 0.02
    geometry: Geometry | None = None
    no_geometry_because: str = "this arm has no robot model"
    opening: Vector = ()

    @property
    def gripper_opening(self) -> Vector:
        """`opening`, known or by name."""
        return self.opening or tuple(float(name.endswith("gripper")) for name in self.joint_names)


@dataclass(frozen=True, slots=True)
class CheckInput:
    """One cycle. Vectors are in `unit`, in the order of `joint_names`; velocities in that unit per second.
    `previous_acceleration` is what led to `previous_velocity`; empty where nobody knows, which counts as none.

    `proposed` is None when nothing was due, and `absence` then says why. Ages are seconds on the guard's steady
    clock, negative before the first message. `dt_s` is the time this step may use. `now_s` is that steady clock;
    `run_s` the time of this run without its pauses, 0 when nothing runs. `overlap` is how far the newest chunk is from
    the one it replaced where both say something (root mean square, as a share of the joints' ranges), None without
    such a pair.
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
    now_s: float = 0.0
    run_s: float = 0.0
    chunk_sequence: int = 0
    overlap: float | None = None
    scores: Mapping[str, Score] = field(default_factory=lambda: MappingProxyType({}))
    scores_age_s: float = -1.0
    hardware: HardwareReading | None = None
    hardware_age_s: float = -1.0
    host: HostHealth | None = None
    host_age_s: float = -1.0
    embodiment_age_s: float = -1.0
    embodiment_problem: str = ""
    previous_acceleration: Vector = ()

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
    """A check's answer; `action` only with CLAMP, from the LIMIT phase. A CLAMP without one is a warning.

    `hold_at_measured`: the last command pushes against something; hold where the arm is instead.
    """

    decision: Decision = Decision.PASS
    reason: str = ""
    action: Vector | None = None
    hold_at_measured: bool = False


PASSED = Finding()


@dataclass(frozen=True, slots=True)
class NoParams:
    """Of a check without parameters."""


class Check(ABC):
    """One instance serves one run of one arm, from its control thread only.

    `examine` blames the action with REJECT, a sensor or the machine with FAULT. Raising, changing an action outside
    the LIMIT phase, and taking longer than the budget are faults of the check. In the LIMIT phase the same cycle may
    be examined several times: answers there depend on the input alone.
    """

    name: ClassVar[str]
    layer: ClassVar[str]
    phase: ClassVar[Phase]
    params_type: ClassVar[type] = NoParams
    reaction: ClassVar[str] = HOLD  # to a REJECT or FAULT, unless a boundary says otherwise
    may_slow: ClassVar[bool] = False  # whether slowing down is an answer to its objection
    hardest: ClassVar[str] = EMERGENCY_STOP  # no fallback may be harder
    escalates_to_emergency: ClassVar[bool] = False  # an objection that lasts is latched, not only a stop
    needs_geometry: ClassVar[bool] = False

    def __init__(self, params: Any, body: Body) -> None:
        """Raises InvalidInput when the parameters do not fit the body, saying which and why."""
        self.params, self.body = params, body
        _check_lengths(self.params, body)
        if self.needs_geometry and body.geometry is None:
            raise InvalidInput(f"It needs the arm's geometry, but {body.no_geometry_because}.")

    @abstractmethod
    def examine(self, given: CheckInput) -> Finding: ...

    @property
    def geometry(self) -> Geometry:
        """Of a check that needs it."""
        assert self.body.geometry is not None
        return self.body.geometry


def _check_lengths(params: Any, body: Body) -> None:
    for item in fields(params):
        info = item.metadata.get("param")
        values = getattr(params, item.name)
        if info is not None and info.is_per_joint and len(values) not in {0, len(body.joint_names)}:
            raise InvalidInput(
                f"Parameter {item.name} has {len(values)} numbers for the {len(body.joint_names)} joints "
                f"{', '.join(body.joint_names)}."
            )
