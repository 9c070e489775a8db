# SPDX-License-Identifier: Apache-2.0
"""Counters of one arm's cycles, for GuardState."""

from dataclasses import dataclass, field

from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.stats import StageTimes
from lerobot_arena.core.verdict import Outcome


@dataclass(slots=True)
class Tally:
    """Since the process began, or since another session was started; written by the control thread."""

    session_id: str = ""
    cycles: int = 0
    late: int = 0
    sent: int = 0
    held: int = 0
    decisions: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    action_age_s: float = 0.0
    queue_steps: int = 0
    risk: RiskLevel = RiskLevel.NORMAL
    reaction: str = ""
    stages: StageTimes = field(default_factory=StageTimes)

    def add(self, record: CycleRecord) -> None:
        """Count a cycle of a run."""
        self.cycles += 1
        self.late += record.late
        self.decisions[record.decision] += 1
        if record.outcome is Outcome.HELD:
            self.held += 1
        else:
            self.sent += 1
        self.risk, self.reaction = record.risk, record.reaction
        self.action_age_s, self.queue_steps = record.action_age_s, record.queue_steps
        for stage in record.stages:
            self.stages.add(stage.name, stage.p50_ms)
