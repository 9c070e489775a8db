# SPDX-License-Identifier: Apache-2.0
"""Files of boundaries and tasks: read here, judged by the bridge; applied only when all of it would be accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.client.arena import Arena
from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput

KINDS = ("boundaries", "tasks")


@dataclass(frozen=True, slots=True)
class Entry:
    """One boundary or task; `kind` is its collection's name in files and in the API."""

    kind: str
    name: str
    body: Mapping[str, Any]


def read_entries(path: Path) -> list[Entry]:
    """A file like the shipped ones (`boundaries`, `tasks`), or one boundary or task alone. YAML or JSON.

    Raises InvalidInput naming the file, and the line when it is no YAML.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is neither YAML nor JSON: {error}") from error
    content = strict.mapping(data, f"{path}: the file")
    # A task has `boundaries` as well.
    if "name" in content or "nodes" in content:
        return [_entry("boundaries" if "nodes" in content else "tasks", content, path)]
    strict.only(content, KINDS, str(path))
    found = []
    for kind in KINDS:
        listed = content.get(kind) or []
        if not isinstance(listed, list):
            raise InvalidInput(f"{path}: {kind} must be a list.")
        found += [_entry(kind, item, path) for item in listed]
    return found


def _entry(kind: str, data: Any, path: Path) -> Entry:
    body = strict.mapping(data, f"{path}: an entry of {kind}")
    return Entry(kind, strict.name(body.get("name"), f"{path}: the name of an entry of {kind}"), body)


def check_entries(arena: Arena, entries: Sequence[Entry]) -> list[str]:
    """What could not be judged yet, one sentence each. Raises what the bridge says against the first bad entry."""
    known = known_names(arena)
    new = {entry.name for entry in entries if entry.kind == "boundaries"} - known["boundaries"]
    notes = []
    for entry in entries:
        needed = {name for key in ("boundaries", "virtual_boundaries") for name in entry.body.get(key) or ()}
        if entry.kind == "tasks" and (waiting := sorted(needed & new)):
            notes.append(f"Task {entry.name}: judged when {', '.join(waiting)} exist.")
        else:
            _send(arena, entry, known, validate=True)
    return notes


def apply_entries(arena: Arena, entries: Sequence[Entry]) -> list[Any]:
    """The bridge's answers, in order."""
    check_entries(arena, entries)
    known = known_names(arena)
    return [_send(arena, entry, known) for entry in entries]


def known_names(arena: Arena) -> dict[str, set[str]]:
    """Names that exist, by kind."""
    found = {"boundaries": arena.boundaries.list()["boundaries"], "tasks": arena.tasks.list()["tasks"]}
    return {kind: {item["name"] for item in items} for kind, items in found.items()}


def _send(arena: Arena, entry: Entry, known: Mapping[str, set[str]], *, validate: bool = False) -> Any:
    group = arena.boundaries if entry.kind == "boundaries" else arena.tasks
    if entry.name in known[entry.kind]:
        return group.replace(entry.name, entry.body, validate=validate)
    return group.create(entry.body, validate=validate)
