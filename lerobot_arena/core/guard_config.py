# SPDX-License-Identifier: Apache-2.0
"""Boundaries and tasks as they are wanted: the values behind /arena/guard_config (msg/GuardConfig)."""

from dataclasses import dataclass

DEFAULT_TASK = "default"
UNTIL_STOPPED = -1
MOST_CYCLES = 1_000_000_000
SHORTEST_PERIOD_S, LONGEST_PERIOD_S = 0.004, 0.2


@dataclass(frozen=True, slots=True)
class BoundaryWanted:
    """One boundary (msg/BoundaryWanted); `config` is JSON, read by guard/boundary.py."""

    name: str
    version: int
    config: str


@dataclass(frozen=True, slots=True)
class TaskWanted:
    """One task (msg/TaskWanted); `config` is JSON, read by guard/task.py."""

    name: str
    config: str


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """All of them (msg/GuardConfig); taken whole or refused whole."""

    version: int = 0
    boundaries: tuple[BoundaryWanted, ...] = ()
    tasks: tuple[TaskWanted, ...] = ()


@dataclass(frozen=True, slots=True)
class RunWanted:
    """How the next start of an arm is meant (msg/RunWanted); the defaults are those of a plain start."""

    arm: str
    task: str = ""
    n_cycles: int = UNTIL_STOPPED
    cycle_budget_ms: float = 0.0
