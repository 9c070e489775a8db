# SPDX-License-Identifier: Apache-2.0
"""Where a guard's configuration comes from: files of three kinds, a running bridge, or what is shipped."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.config_files import KINDS, Entry, read_entries
from lerobot_arena.client.arena import Arena
from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.guard.boundary import Boundary, boundary_from_mapping
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.task import Task, task_from_mapping

_ROS = "ros__parameters"


@dataclass(frozen=True, slots=True)
class GuardSource:
    """What was found; `robot` is a shipped robot's name or a robot file."""

    params: GuardParams
    config: GuardConfig
    robot: str
    told: tuple[str, ...]


def guard_source(files: Sequence[Path], *, robot: str | None, url: str | None) -> GuardSource:
    """Shipped values, with what the bridge at `url` or the files say in place of them.

    Raises InvalidInput naming the file and what is wrong in it.
    """
    params, robots, told = GuardParams(), [], []
    config = shipped_config() if url is None else ask(url, fetched)
    told.append("shipped boundaries" if url is None else f"boundaries of {url}")
    for path in files:
        data = _content(path)
        if (found := ros_parameters(data)) is not None:
            params = _params(path, found)
            told.append(f"guard parameters of {path}")
        elif "joints" in data:
            robots.append(str(path))
            told.append(f"robot file {path}")
        else:
            config = overlaid(config, read_entries(path))
            told.append(f"boundaries of {path}")
    chosen = robot or (robots[-1] if robots else params.robot)
    return GuardSource(params, config, chosen, tuple(told))


def _content(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is neither YAML nor JSON: {error}") from error
    return strict.mapping(data, f"{path}: the file")


def _params(path: Path, found: Mapping[str, Any]) -> GuardParams:
    # Every ROS node takes use_sim_time as well.
    own = {key: value for key, value in found.items() if key != "use_sim_time"}
    try:
        return params_from_mapping(GuardParams, own)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error


def ros_parameters(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The guard's parameters in a ROS parameter file, else the only ones; None when it is no such file."""
    found = list(_parameter_blocks(data, ""))
    named = [block for name, block in found if name == "guard"] or [block for _, block in found]
    return named[0] if named else None


def _parameter_blocks(data: Any, name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if not isinstance(data, Mapping):
        return
    for key, value in data.items():
        if key == _ROS and isinstance(value, Mapping):
            yield name, value
        else:
            yield from _parameter_blocks(value, str(key))


def overlaid(config: GuardConfig, entries: Sequence[Entry]) -> GuardConfig:
    """`config` with these created or replaced, as `arena boundary apply` would."""
    boundaries = {item.name: item for item in config.boundaries}
    tasks = {item.name: item for item in config.tasks}
    for entry in entries:
        if entry.kind == "boundaries":
            boundary = boundary_from_mapping(_own(entry.body, Boundary))
            boundaries[entry.name] = BoundaryWanted(
                entry.name, config.version, json.dumps(boundary.mapping())
            )
    for entry in entries:
        if entry.kind == "tasks":
            task = task_from_mapping(_own(entry.body, Task), list(boundaries))
            tasks[entry.name] = TaskWanted(entry.name, json.dumps(task.mapping()))
    return GuardConfig(config.version, tuple(boundaries.values()), tuple(tasks.values()))


def _own(body: Mapping[str, Any], kind: type) -> Mapping[str, Any]:
    """Without what a bridge tells on top; anything else unknown is left for the reader to refuse."""
    told = {"version", "problem", "config_version", "in_force_on"} - {item.name for item in fields(kind)}
    return {key: value for key, value in body.items() if key not in told}


def fetched(arena: Arena) -> GuardConfig:
    """What a running bridge has published. Raises what its client raises."""
    found = arena.boundaries.list()
    items = {"boundaries": found["boundaries"], "tasks": arena.tasks.list()["tasks"]}
    version = int(found.get("config_version", 0))
    entries = [Entry(kind, item["name"], item) for kind in KINDS for item in items[kind]]
    return overlaid(GuardConfig(version), entries)
