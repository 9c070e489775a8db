# SPDX-License-Identifier: Apache-2.0
"""The boundaries and tasks that come with the package: lerobot_arena/boundaries/*.yaml."""

import json
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.guard.boundary import Boundary, boundary_from_mapping
from lerobot_arena.guard.task import Task, task_from_mapping

VERSION = 0


def shipped_config() -> GuardConfig:
    """All of them as version 0: what holds without a bridge, and what a bridge's database begins with."""
    return config_of(_shipped_files())


def config_of(files: Iterable[tuple[str, str]]) -> GuardConfig:
    """(name, YAML text) of files with `boundaries` and `tasks`, as one configuration of version 0.

    Raises InvalidInput naming the file and what is wrong in it; a name may be used once in all of them.
    """
    read = [(name, _content(name, text)) for name, text in files]
    boundaries: dict[str, Boundary] = {}
    tasks: dict[str, Task] = {}
    for name, data in read:
        for entry in _entries(data, "boundaries", name):
            boundary = _read(name, boundary_from_mapping, entry)
            _add(boundaries, boundary.name, boundary, name)
    for name, data in read:
        for entry in _entries(data, "tasks", name):
            task = _read(name, task_from_mapping, entry, list(boundaries))
            _add(tasks, task.name, task, name)
    return GuardConfig(
        VERSION,
        tuple(BoundaryWanted(key, VERSION, json.dumps(item.mapping())) for key, item in boundaries.items()),
        tuple(TaskWanted(key, json.dumps(item.mapping())) for key, item in tasks.items()),
    )


def _shipped_files() -> Iterator[tuple[str, str]]:
    folder = resources.files("lerobot_arena") / "boundaries"
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            yield entry.name, entry.read_text(encoding="utf-8")


def _content(name: str, text: str) -> Any:
    import yaml

    try:
        data = strict.mapping(yaml.safe_load(text), f"{name}: the file")
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name} is not YAML: {error}") from error
    strict.only(data, ("boundaries", "tasks"), name)
    return data


def _entries(data: Any, key: str, name: str) -> list[Any]:
    entries = data.get(key) or []
    if not isinstance(entries, list):
        raise InvalidInput(f"{name}: {key} must be a list.")
    return entries


def _read(name: str, reader: Any, *arguments: Any) -> Any:
    try:
        return reader(*arguments)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from error


def _add[T](known: dict[str, T], key: str, item: T, name: str) -> None:
    if key in known:
        raise InvalidInput(f"{name}: {key!r} is there twice.")
    known[key] = item
