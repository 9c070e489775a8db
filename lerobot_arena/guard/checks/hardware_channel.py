# SPDX-License-Identifier: Apache-2.0
"""What the checks of temperature, current, voltage and force share: reading a declared channel, and grading it."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, ClassVar

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import Vector

type Labelled = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a warning begins, and where a fault; `unit` is for the reason."""

    unit: str
    warn_above: float = inf
    most: float = inf
    warn_below: float = -inf
    least: float = -inf
    is_reject_at_warn: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidInput unless the warnings lie between the limits."""
        if not self.least <= self.warn_below <= self.warn_above <= self.most:
            raise InvalidInput(
                "The warning levels must lie between the limits: "
                f"{self.least:g} ≤ {self.warn_below:g} ≤ {self.warn_above:g} ≤ {self.most:g} {self.unit} does not hold."
            )


def freshness_problem(given: CheckInput, what: str, max_age_s: float) -> str:
    """Why nothing can be said of a channel that a boundary declares; empty when there is a fresh reading."""
    if given.hardware is None or given.hardware_age_s < 0.0:
        return f"The robot has not told its {what} yet. Without such a sensor, leave this check out of the boundaries."
    if not given.hardware_age_s <= max_age_s:
        return f"The robot's {what} was told {given.hardware_age_s:.1f} s ago; {max_age_s:g} s are allowed."
    return ""


def per_joint(given: CheckInput, values: Vector, what: str) -> tuple[list[Labelled], str]:
    """(joint, value) for each joint of the arm, or why that is not known."""
    names = given.hardware.joint_names if given.hardware is not None else ()
    if not values:
        return [], f"The robot does not tell its {what}, which a boundary declares."
    if len(values) != len(names):
        return [], f"The robot told {len(values)} numbers of {what} for {len(names)} joints."
    known = dict(zip(names, values))
    if missing := [name for name in given.joint_names if name not in known]:
        return [], f"The robot did not tell the {what} of {', '.join(missing)}."
    return [(name, known[name]) for name in given.joint_names], ""


def grade(found: Iterable[Labelled], levels: Levels) -> Finding:
    """FAULT beyond a limit or for a number that is none; beyond a warning level a CLAMP, or a REJECT when wanted."""
    warning = PASSED
    for label, value in found:
        if not isfinite(value) or not levels.least <= value <= levels.most:
            limit = levels.least if value < levels.least else levels.most
            return Finding(Decision.FAULT, f"{label}: {value:.4g} {levels.unit}; the limit is {limit:g}.")
        if not levels.warn_below <= value <= levels.warn_above and warning is PASSED:
            decision = Decision.REJECT if levels.is_reject_at_warn else Decision.CLAMP
            edge = levels.warn_below if value < levels.warn_below else levels.warn_above
            warning = Finding(decision, f"{label}: {value:.4g} {levels.unit}; the warning level is {edge:g}.")
    return warning


class JointChannel(Check):
    """FAULT beyond a limit, and while the declared channel is missing, short, stale or no number; warns before.

    A boundary with such a check declares the channel. `channel` is its field in HardwareReading.
    """

    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    may_slow: ClassVar[bool] = True
    escalates_to_emergency: ClassVar[bool] = True
    channel: ClassVar[str]
    what: ClassVar[str]

    def __init__(self, params: Any, body: Body) -> None:
        super().__init__(params, body)
        self._levels = self.levels(params)

    @staticmethod
    @abstractmethod
    def levels(params: Any) -> Levels: ...

    def examine(self, given: CheckInput) -> Finding:
        problem = freshness_problem(given, self.what, self.params.max_age_s)
        if problem:
            return Finding(Decision.FAULT, problem)
        found, problem = per_joint(given, getattr(given.hardware, self.channel), self.what)
        return Finding(Decision.FAULT, problem) if problem else grade(found, self._levels)
