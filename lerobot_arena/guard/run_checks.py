# SPDX-License-Identifier: Apache-2.0
"""Everything a run is checked with: task, limits, boundaries and the chain built of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lerobot_arena.core.reaction import ENFORCE
from lerobot_arena.guard.boundary_set import BoundarySet
from lerobot_arena.guard.chain import Chain, core_seats
from lerobot_arena.guard.checks.protocol import Body, JointLimits
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.seat import Seat
from lerobot_arena.guard.task import Task


@dataclass(frozen=True, slots=True)
class ChainRules:
    """What holds for every chain of a guard; `settings` are the core checks' parameters by name."""

    settings: Mapping[str, Mapping[str, Any]]
    budget_ms: float = 10.0
    enforcement: str = ENFORCE


def task_limits(limits: JointLimits, task: Task) -> JointLimits:
    """The robot's limits, as much of them as the task may use."""
    scale = task.limits
    if scale.velocity_scale == scale.acceleration_scale == 1.0:
        return limits
    return replace(
        limits,
        max_velocity=tuple(scale.velocity_scale * value for value in limits.max_velocity),
        max_acceleration=tuple(scale.acceleration_scale * value for value in limits.max_acceleration),
    )


class RunChecks:
    """Of one run, from its control thread; `config_version` is the GuardConfig it was made from."""

    def __init__(
        self, task: Task, boundaries: BoundarySet, body: Body, *, rules: ChainRules, config_version: int
    ) -> None:
        self.task, self.boundaries, self.config_version = task, boundaries, config_version
        self.body = body
        self.enforcement = rules.enforcement
        self.limits = task_limits(body.limits, task)
        self.rules = rules
        settings = {**rules.settings}
        if task.timeout_s:
            settings["task_timeout"] = {"timeout_s": task.timeout_s}
        self._core = core_seats(body, settings)
        self.chain = self._built()

    def _built(self) -> Chain:
        return Chain(
            [*self._core, *self.boundaries.seats()],
            budget_ms=self.rules.budget_ms,
            enforcement=self.rules.enforcement,
        )

    def advance(self, run_s: float, measured: Vector) -> None:
        """Let the nodes of lists and graphs take over from each other."""
        if self.boundaries.advance(run_s, measured):
            self.chain = self._built()

    def follow(self, before: "RunChecks") -> None:
        """Take the place of `before` at a cycle edge: what did not change remembers what it saw."""
        self.boundaries.keep(before.boundaries)
        self._core = _kept(self._core, before._core)
        self.chain = self._built()


def _kept(new: list[Seat], old: list[Seat]) -> list[Seat]:
    known = {seat.name: seat for seat in old}
    return [
        known[seat.name]
        if seat.name in known and known[seat.name].check.params == seat.check.params
        else seat
        for seat in new
    ]
