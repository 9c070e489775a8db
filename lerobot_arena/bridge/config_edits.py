# SPDX-License-Identifier: Apache-2.0
"""Changes of the guards' configuration as functions from one whole configuration to the next. Pure.

All of them raise Unprocessable for what cannot be read, NotFound and Conflict for what does not fit what is there.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lerobot_arena.bridge.errors import Unprocessable, unprocessable
from lerobot_arena.core import strict
from lerobot_arena.core.errors import Conflict, InvalidInput, NotFound
from lerobot_arena.core.guard_config import DEFAULT_TASK, BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.params import param_infos
from lerobot_arena.core.session import GuardState
from lerobot_arena.core.topics import arm_in_words
from lerobot_arena.guard.boundary import MOST_BOUNDARIES, Boundary, boundary_from_json, boundary_from_mapping
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.task import MOST_TASKS, Task, task_from_json, task_from_mapping

# What answers add to a boundary or task; a client that sends its answer back need not take it out.
READ_ONLY = frozenset({"version", "config_version", "in_force_on", "problem"})

Loosening = Callable[[Boundary | None, Boundary | None], str]


def find_boundary(config: GuardConfig, name: str) -> BoundaryWanted:
    """Raises NotFound with the nearest name."""
    found = next((item for item in config.boundaries if item.name == name), None)
    if found is None:
        names = [item.name for item in config.boundaries]
        raise NotFound(f"There is no boundary {name!r}.{strict.did_you_mean(name, names)}")
    return found


def find_task(config: GuardConfig, name: str) -> TaskWanted:
    """Raises NotFound with the nearest name."""
    found = next((item for item in config.tasks if item.name == name), None)
    if found is None:
        names = [item.name for item in config.tasks]
        raise NotFound(f"There is no task {name!r}.{strict.did_you_mean(name, names)}")
    return found


def add_boundary(config: GuardConfig, body: Mapping[str, Any]) -> GuardConfig:
    """With one boundary more."""
    boundary = _read_boundary(body)
    if any(item.name == boundary.name for item in config.boundaries):
        raise Conflict(
            f"Boundary {boundary.name!r} exists already: PUT /api/boundaries/{boundary.name} replaces it."
        )
    if len(config.boundaries) >= MOST_BOUNDARIES:
        raise Conflict(f"There are {MOST_BOUNDARIES} boundaries already; delete one first.")
    wanted = BoundaryWanted(boundary.name, 1, json.dumps(boundary.mapping()))
    return replace(config, boundaries=(*config.boundaries, wanted))


def put_boundary(config: GuardConfig, name: str, body: Mapping[str, Any]) -> GuardConfig:
    """With that boundary replaced; unchanged when it says the same. `version` in the body must be the present one."""
    old = find_boundary(config, name)
    _check_version(body, old.version, f"Boundary {name!r}")
    boundary = _read_boundary(_named(body, name))
    text = json.dumps(boundary.mapping())
    if text == old.config:
        return config
    new = BoundaryWanted(name, old.version + 1, text)
    return replace(config, boundaries=tuple(new if item is old else item for item in config.boundaries))


def remove_boundary(config: GuardConfig, name: str) -> GuardConfig:
    """Without it; not while a task names it."""
    old = find_boundary(config, name)
    users = [item.name for item in config.tasks if name in _names_of(item)]
    if users:
        raise Conflict(f"Boundary {name!r} guards task {', '.join(users)}: take it out of there first.")
    return replace(config, boundaries=tuple(item for item in config.boundaries if item is not old))


def add_task(config: GuardConfig, body: Mapping[str, Any]) -> GuardConfig:
    """With one task more."""
    task = _read_task(config, body)
    if any(item.name == task.name for item in config.tasks):
        raise Conflict(f"Task {task.name!r} exists already: PUT /api/tasks/{task.name} replaces it.")
    if len(config.tasks) >= MOST_TASKS:
        raise Conflict(f"There are {MOST_TASKS} tasks already; delete one first.")
    return replace(config, tasks=(*config.tasks, TaskWanted(task.name, json.dumps(task.mapping()))))


def put_task(config: GuardConfig, name: str, body: Mapping[str, Any]) -> GuardConfig:
    """With that task replaced."""
    old = find_task(config, name)
    task = _read_task(config, _named(body, name))
    new = TaskWanted(name, json.dumps(task.mapping()))
    return replace(config, tasks=tuple(new if item is old else item for item in config.tasks))


def remove_task(config: GuardConfig, name: str) -> GuardConfig:
    """Without it. The default task stays: a start that names none means it."""
    old = find_task(config, name)
    if name == DEFAULT_TASK:
        raise Conflict(f"Task {DEFAULT_TASK!r} stays, as a start without a name means it. PUT changes it.")
    return replace(config, tasks=tuple(item for item in config.tasks if item is not old))


SESSIONS_ARM = "session "
"""How a session's own joints are named where an arm's stand beside them."""


def refuse_lengths(old: GuardConfig, new: GuardConfig, joints: Mapping[str, int]) -> None:
    """Raises Unprocessable when a new list with a number per joint has a length that no arm here has.

    `joints` is arm → number of joints; a boundary may be made for one of them, and its guard says which it fits.
    """
    for item in new.boundaries:
        if item in old.boundaries or not joints:
            continue
        boundary = boundary_from_json(item.config)
        for node in boundary.nodes:
            for name, (_, info) in param_infos(CHECKS.load(node.callback).params_type).items():
                values = node.params.get(name) or ()
                if info.is_per_joint and values and len(values) not in joints.values():
                    names = {arm: "a session" if arm.startswith(SESSIONS_ARM) else arm for arm in joints}
                    arms = ", ".join(
                        dict.fromkeys(f"{names[arm]} has {count}" for arm, count in joints.items())
                    )
                    where = f"Boundary {item.name!r}, node {node.node_id!r}"
                    raise Unprocessable(
                        f"{where}: {name} has {len(values)} numbers and needs one per joint: {arms}."
                    )


def refuse_while_running(
    old: GuardConfig, new: GuardConfig, running: Sequence[GuardState], loosening: Loosening
) -> None:
    """Raises Conflict when a run would get more freedom, or another task, by this change."""
    before, after = ({item.name: item for item in config.boundaries} for config in (old, new))
    tasks_before, tasks_after = ({item.name: item for item in config.tasks} for config in (old, new))
    for guard in running:
        task = guard.task or DEFAULT_TASK
        arm = arm_in_words(guard.arm)
        where = f"{arm[0].upper()}{arm[1:]} is {guard.state} with task {task!r}"
        if task in tasks_before and tasks_after.get(task) != tasks_before[task]:
            raise Conflict(f"{where}, which cannot change meanwhile: stop it first.")
        for name, item in before.items():
            if not guards(name, guard, tasks_before.get(task)) or after.get(name) == item:
                continue
            if name not in after:
                raise Conflict(
                    f"{where}, and boundary {name!r} is active: stop it before deleting this boundary."
                )
            if reason := _loosened(item, after[name], loosening):
                raise Conflict(
                    f"{where}, guarded by {name!r}, and this change could allow more motion: {reason} Stop it first."
                )


def guards(name: str, guard: GuardState, task: TaskWanted | None) -> bool:
    """Whether a boundary is in use by a run; one with several nodes is active as `name.node_id`."""
    is_active = any(active == name or active.startswith(f"{name}.") for active in guard.active_boundaries)
    return is_active or (task is not None and name in _names_of(task))


def _loosened(old: BoundaryWanted, new: BoundaryWanted, loosening: Loosening) -> str:
    try:
        before = boundary_from_json(old.config)
    except InvalidInput:
        before = None
    return loosening(before, boundary_from_json(new.config))


def _names_of(item: TaskWanted) -> set[str]:
    try:
        task = task_from_json(item.config)
    except InvalidInput:
        return set()
    return {*task.boundaries, *task.virtual_boundaries}


def _read_boundary(body: Mapping[str, Any]) -> Boundary:
    with unprocessable():
        return boundary_from_mapping(_content(body))


def _read_task(config: GuardConfig, body: Mapping[str, Any]) -> Task:
    with unprocessable():
        return task_from_mapping(_content(body), [item.name for item in config.boundaries])


def _content(body: Mapping[str, Any]) -> dict[str, Any]:
    content = {key: value for key, value in body.items() if key not in READ_ONLY}
    try:
        # Half a character fits into JSON, but neither into UTF-8 nor into a ROS string.
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unprocessable("Texts must be whole Unicode characters.") from None
    return content


def _named(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    if body.get("name", name) != name:
        raise Unprocessable(
            f"The body names {body['name']!r} and the path {name!r}: a name cannot be changed."
        )
    return {**body, "name": name}


def _check_version(body: Mapping[str, Any], present: int, what: str) -> None:
    given = body.get("version", present)
    if given != present:
        raise Conflict(
            f"{what} is at version {present}; your version {given!r} is not the present one. Read it again."
        )
