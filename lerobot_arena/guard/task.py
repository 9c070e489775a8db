# SPDX-License-Identifier: Apache-2.0
"""Tasks: which session runs under which boundaries, how fast, and for how long. Strict."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput

MOST_TASKS = 64
_LONGEST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Shares of the robot's own limits that this task may use."""

    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """`session_id` empty: the arm's selected session. `timeout_s` of running time, 0: none.

    `virtual_boundaries` are those of an arm whose joints come from a client, of which no model is known.
    """

    name: str
    boundaries: tuple[str, ...]
    virtual_boundaries: tuple[str, ...] = ()
    session_id: str = ""
    limits: TaskLimits = TaskLimits()
    timeout_s: float = 0.0
    description: str = ""

    def mapping(self) -> dict[str, Any]:
        """What `task_from_mapping` reads, with every default written out."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    def boundaries_of(self, *, is_virtual: bool) -> tuple[str, ...]:
        """Names of the boundaries that guard it on such an arm."""
        return self.virtual_boundaries if is_virtual else self.boundaries


def task_from_mapping(data: Any, known_boundaries: Sequence[str] | None = None) -> Task:
    """Read one task. Raises InvalidInput naming what is wrong, also for an unknown boundary."""
    entry = strict.mapping(data, "A task")
    name = strict.name(entry.get("name"), "A task's name")
    where = f"Task {name!r}"
    strict.only(entry, Task, where)
    boundaries, virtual = (
        strict.names(entry.get(key) or (), f"{where}: {key}", known_boundaries)
        for key in ("boundaries", "virtual_boundaries")
    )
    if not boundaries and not virtual:
        raise InvalidInput(f"{where}: name at least one boundary; motion without one is refused.")
    return Task(
        name,
        boundaries,
        virtual,
        strict.text(entry.get("session_id"), f"{where}: session_id"),
        _limits(entry.get("limits") or {}, where),
        strict.number(entry.get("timeout_s") or 0.0, f"{where}: timeout_s", 0.0, _LONGEST_S),
        strict.text(entry.get("description"), f"{where}: description"),
    )


def task_from_json(text: str, known_boundaries: Sequence[str] | None = None) -> Task:
    """Read a task from JSON. Raises InvalidInput."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"A task is not JSON: {error}.") from error
    return task_from_mapping(data, known_boundaries)


def _limits(data: Any, where: str) -> TaskLimits:
    entry = strict.mapping(data, f"{where}: limits")
    strict.only(entry, TaskLimits, f"{where}: limits")
    return TaskLimits(
        **{key: strict.number(value, f"{where}: limits.{key}", 0.01, 1.0) for key, value in entry.items()}
    )
