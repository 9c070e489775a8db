# SPDX-License-Identifier: Apache-2.0
"""An end effector that pushes too hard."""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.hardware_channel import Levels, freshness_problem, grade
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.limiter import Vector

BOTH, FORCE, TORQUE = "both", "force", "torque"


@dataclass(frozen=True, slots=True)
class ForceTorqueParams:
    """Levels of the magnitudes, and how old a reading may be."""

    channels: str = bound(BOTH, "What the sensor measures.", choices=(BOTH, FORCE, TORQUE))
    warn_force_n: float = bound(30.0, "Where warnings begin.", tighter=LOWER, lowest=0.0)
    max_force_n: float = bound(50.0, "The limit.", tighter=LOWER, lowest=0.0)
    warn_torque_nm: float = bound(6.0, "Where warnings begin.", tighter=LOWER, lowest=0.0)
    max_torque_nm: float = bound(10.0, "The limit.", tighter=LOWER, lowest=0.0)
    max_age_s: float = bound(
        0.5, "Age by receipt of the latest reading.", tighter=LOWER, lowest=0.02, highest=60.0
    )
    reject_at_warn: bool = bound(
        False,
        "REJECT at the warning level, for a node whose fallback is slow_down; else a warning.",
        tighter=HIGHER,
    )


class ForceTorque(Check):
    """FAULT above a limit, and while a declared channel is missing, short, stale or no number; warns before."""

    name: ClassVar[str] = "force_torque"
    layer: ClassVar[str] = "L3"
    phase: ClassVar[Phase] = Phase.SENSE
    params_type: ClassVar[type] = ForceTorqueParams
    may_slow: ClassVar[bool] = True
    escalates_to_emergency: ClassVar[bool] = True

    params: ForceTorqueParams

    def __init__(self, params: ForceTorqueParams, body: Body) -> None:
        super().__init__(params, body)
        rejects = params.reject_at_warn
        self._force = Levels("N", params.warn_force_n, params.max_force_n, is_reject_at_warn=rejects)
        self._torque = Levels("Nm", params.warn_torque_nm, params.max_torque_nm, is_reject_at_warn=rejects)

    def examine(self, given: CheckInput) -> Finding:
        problem = freshness_problem(given, "force", self.params.max_age_s)
        if problem or given.hardware is None:
            return Finding(Decision.FAULT, problem)
        findings = []
        if self.params.channels != TORQUE:
            findings.append(_graded("force", given.hardware.force_n, self._force))
        if self.params.channels != FORCE:
            findings.append(_graded("torque", given.hardware.torque_nm, self._torque))
        return max(findings, key=lambda finding: finding.decision)


def _graded(what: str, values: Vector, levels: Levels) -> Finding:
    if len(values) != 3:
        return Finding(
            Decision.FAULT,
            f"The robot told {len(values)} numbers of {what}, which a boundary declares as x y z.",
        )
    return grade([(what, sqrt(sum(value * value for value in values)))], levels)
