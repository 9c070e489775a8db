# SPDX-License-Identifier: Apache-2.0
"""The boundaries and tasks in force on one arm: taken whole or refused whole, with the reason kept."""

from collections.abc import Collection
from dataclasses import dataclass, field

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import DEFAULT_TASK, GuardConfig
from lerobot_arena.core.strict import did_you_mean
from lerobot_arena.guard.boundary import MOST_BOUNDARIES, Boundary, boundary_from_json
from lerobot_arena.guard.boundary_set import BoundarySet, fit, needs_geometry
from lerobot_arena.guard.checks.protocol import Body
from lerobot_arena.guard.run_checks import ChainRules, RunChecks
from lerobot_arena.guard.task import MOST_TASKS, Task, task_from_json
from lerobot_arena.guard.tightening import loosening


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """A GuardConfig that could be read."""

    version: int = 0
    boundaries: dict[str, Boundary] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def of_task(self, task: Task, *, is_virtual: bool) -> list[Boundary]:
        """The boundaries that guard a task on such an arm."""
        return [self.boundaries[name] for name in task.boundaries_of(is_virtual=is_virtual)]


def read_config(config: GuardConfig) -> ReadConfig:
    """Read all of it. Raises InvalidInput for the first thing that is wrong."""
    if len(config.boundaries) > MOST_BOUNDARIES or len(config.tasks) > MOST_TASKS:
        raise InvalidInput(f"At most {MOST_BOUNDARIES} boundaries and {MOST_TASKS} tasks are guarded.")
    boundaries: dict[str, Boundary] = {}
    for wanted in config.boundaries:
        boundary = boundary_from_json(wanted.config)
        _check_name(boundary.name, wanted.name, boundaries, "boundary")
        boundaries[boundary.name] = boundary
    tasks: dict[str, Task] = {}
    for item in config.tasks:
        task = task_from_json(item.config, list(boundaries))
        _check_name(task.name, item.name, tasks, "task")
        tasks[task.name] = task
    return ReadConfig(config.version, boundaries, tasks)


def _check_name(own: str, label: str, known: Collection[str], what: str) -> None:
    if own != label:
        raise InvalidInput(f"The {what} {label!r} calls itself {own!r}.")
    if own in known:
        raise InvalidInput(f"The {what} {own!r} is there twice.")


class ConfigBook:
    """Of one arm; called from one thread."""

    def __init__(self, shipped: GuardConfig, *, is_virtual: bool) -> None:
        self._is_virtual = is_virtual
        self.current = read_config(shipped)
        self.refused = 0
        self.problem = ""
        self._pending: GuardConfig | None = None

    def take(self, config: GuardConfig, body: Body | None, running: RunChecks | None) -> RunChecks | None:
        """Put a config in force, or keep why not. Returns the checks a run has to go on with, when they change.

        While a run is on, a config that would allow it more motion waits until it has ended.
        """
        self._pending = config
        try:
            read = read_config(config)
            if body is not None:
                self._check_fit(read, body)
            changed = (
                self._successor(read, body, running) if running is not None and body is not None else None
            )
        except InvalidInput as error:
            self.refused, self.problem = config.version, str(error)
            return None
        self.current, self._pending = read, None
        self.refused, self.problem = 0, ""
        return changed

    def retry(self, body: Body | None) -> None:
        """The run is over, or the arm became another: take what had to wait."""
        if self._pending is not None:
            self.take(self._pending, body, None)

    def _check_fit(self, read: ReadConfig, body: Body) -> None:
        """A boundary may be meant for another kind of arm; those of this arm's tasks may not."""
        for task in read.tasks.values():
            boundaries = read.of_task(task, is_virtual=self._is_virtual)
            if body.geometry is None:
                # An arm without a model refuses to start such a task; others may still want it.
                boundaries = [boundary for boundary in boundaries if not needs_geometry(boundary)]
            if problem := fit(boundaries, body):
                raise InvalidInput(f"Task {task.name!r}: {problem}")

    def _successor(self, read: ReadConfig, body: Body, running: RunChecks) -> RunChecks | None:
        task = read.tasks.get(running.task.name)
        if task is None:
            raise InvalidInput(f"Task {running.task.name!r} is running and cannot be removed: stop it first.")
        boundaries = read.of_task(task, is_virtual=self._is_virtual)
        if reason := _loosens(running, task, boundaries):
            raise InvalidInput(f"{reason} Stop the run first: while it moves, limits only become tighter.")
        if boundaries == list(running.boundaries.boundaries) and task == running.task:
            running.config_version = read.version
            return None
        return RunChecks(
            task, BoundarySet(boundaries, body), body, rules=running.rules, config_version=read.version
        )

    def task(self, name: str) -> Task:
        """Raises InvalidInput for a task that does not exist, with the nearest one."""
        wanted = name or DEFAULT_TASK
        if wanted not in self.current.tasks:
            raise InvalidInput(f"There is no task {wanted!r}.{did_you_mean(wanted, self.current.tasks)}")
        return self.current.tasks[wanted]

    def checks(self, name: str, body: Body, rules: ChainRules) -> RunChecks:
        """What a start of this task would be checked with. Raises InvalidInput when it has no boundary that fits."""
        task = self.task(name)
        boundaries = self.current.of_task(task, is_virtual=self._is_virtual)
        if not boundaries:
            kind = "virtual_boundaries" if self._is_virtual else "boundaries"
            raise InvalidInput(f"Task {task.name!r} names no {kind}: without one nothing may move.")
        return RunChecks(
            task, BoundarySet(boundaries, body), body, rules=rules, config_version=self.current.version
        )


def _loosens(running: RunChecks, task: Task, boundaries: list[Boundary]) -> str:
    """Why a config would allow a run more motion; empty when it provably does not."""
    old_task = running.task
    if task.limits.velocity_scale > old_task.limits.velocity_scale:
        return f"Task {task.name!r} would become faster."
    if task.limits.acceleration_scale > old_task.limits.acceleration_scale:
        return f"Task {task.name!r} would accelerate harder."
    if old_task.timeout_s and not 0.0 < task.timeout_s <= old_task.timeout_s:
        return f"Task {task.name!r} would be allowed more time."
    new = {boundary.name: boundary for boundary in boundaries}
    for old in running.boundaries.boundaries:
        if reason := loosening(old, new.get(old.name)):
            return reason
    return ""
