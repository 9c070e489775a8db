# SPDX-License-Identifier: Apache-2.0
"""What one tick of a control loop did, and what it may send: msg/Cycle, JointCommand and ChunkRequest."""

from dataclasses import dataclass

from lerobot_arena.core.hardware import Score
from lerobot_arena.core.reaction import ENFORCE
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Decision, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One tick; arrays are floats in `unit`, empty where msg/Cycle says so."""

    cycle_id: int
    decision: Decision
    outcome: Outcome
    stamp_ns: int
    state: str
    unit: str
    joint_names: tuple[str, ...]
    late: bool = False
    risk: RiskLevel = RiskLevel.NORMAL
    steady_ns: int = 0
    epoch: int = 0
    session_id: str = ""
    reason: str = ""
    reaction: str = ""
    enforcement: str = ENFORCE
    task: str = ""
    active_boundaries: tuple[str, ...] = ()
    config_version: int = 0
    measured: tuple[float, ...] = ()
    proposed: tuple[float, ...] = ()
    executed: tuple[float, ...] = ()
    queue_steps: int = 0
    action_age_s: float = 0.0
    joint_age_s: float = -1.0
    scores: tuple[Score, ...] = ()
    scores_age_s: float = -1.0
    verdicts: tuple[Verdict, ...] = ()
    stages: tuple[StageStat, ...] = ()
    deadline_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class JointCommand:
    """Targets in radians for the end of the period, by joint name."""

    joint_names: tuple[str, ...]
    positions: tuple[float, ...]
    epoch: int
    sequence: int
    stamp_ns: int
    period_s: float


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """The guard asks for the next chunk of the session it drives."""

    session_id: str
    epoch: int
    sequence: int
    reset: bool


@dataclass(frozen=True, slots=True)
class ContextEvent:
    """A reaction began, ended, gave way to a stronger one, or grew into one (msg/ContextEvent)."""

    stamp_ns: int
    cycle_id: int
    kind: str
    reaction: str
    severity: int
    reason: str


@dataclass(frozen=True, slots=True)
class GuardObservation:
    """What one cycle saw (msg/GuardObservation)."""

    stamp_ns: int
    cycle_id: int
    unit: str
    joint_names: tuple[str, ...]
    measured: tuple[float, ...] = ()
    joint_age_s: float = -1.0
    scores: tuple[Score, ...] = ()
    scores_age_s: float = -1.0


@dataclass(frozen=True, slots=True)
class GuardAction:
    """What one cycle was asked to do, and what it did (msg/GuardAction)."""

    stamp_ns: int
    cycle_id: int
    epoch: int
    session_id: str
    outcome: Outcome
    unit: str
    joint_names: tuple[str, ...]
    proposed: tuple[float, ...] = ()
    executed: tuple[float, ...] = ()
    action_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GuardLayer:
    """What the checks of one layer said (msg/GuardLayer)."""

    decision: Decision
    stamp_ns: int
    cycle_id: int
    layer: str
    verdicts: tuple[Verdict, ...] = ()


LAYERS = ("L0", "L1", "L2", "L3")


def observation_of(record: CycleRecord) -> GuardObservation:
    """The part of a cycle that was seen."""
    return GuardObservation(
        record.stamp_ns,
        record.cycle_id,
        record.unit,
        record.joint_names,
        record.measured,
        record.joint_age_s,
        record.scores,
        record.scores_age_s,
    )


def action_of(record: CycleRecord) -> GuardAction:
    """The part of a cycle that was asked and done."""
    return GuardAction(
        record.stamp_ns,
        record.cycle_id,
        record.epoch,
        record.session_id,
        record.outcome,
        record.unit,
        record.joint_names,
        record.proposed,
        record.executed,
        record.action_age_s,
    )


def layers_of(record: CycleRecord) -> list[GuardLayer]:
    """One entry for each layer that was asked."""
    found = []
    for layer in LAYERS:
        verdicts = tuple(verdict for verdict in record.verdicts if verdict.layer == layer)
        if verdicts:
            decision = max(verdict.decision for verdict in verdicts)
            found.append(GuardLayer(decision, record.stamp_ns, record.cycle_id, layer, verdicts))
    return found
