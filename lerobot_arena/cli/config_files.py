# SPDX-License-Identifier: Apache-2.0
"""Files of boundaries and tasks: read here, judged by the bridge; applied only when all of it would be accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lerobot_arena.cli.client import Bridge
from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput

KINDS = ("boundaries", "tasks")


@dataclass(frozen=True, slots=True)
class Entry:
    """One boundary or task; `kind` is its collection's name in files and in the API."""

    kind: str
    name: str
    body: Mapping[str, Any]

    @property
    def path(self) -> str:
        return f"/api/{self.kind}/{quote(self.name, safe='')}"


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


def check_entries(bridge: Bridge, entries: Sequence[Entry]) -> list[str]:
    """What could not be judged yet, one sentence each. Raises what the bridge says against the first bad entry."""
    known = known_names(bridge)
    new = {entry.name for entry in entries if entry.kind == "boundaries"} - known["boundaries"]
    notes = []
    for entry in entries:
        needed = {name for key in ("boundaries", "virtual_boundaries") for name in entry.body.get(key) or ()}
        if entry.kind == "tasks" and (waiting := sorted(needed & new)):
            notes.append(f"Task {entry.name}: judged when {', '.join(waiting)} exist.")
        else:
            _send(bridge, entry, known, query="?validate=true")
    return notes


def apply_entries(bridge: Bridge, entries: Sequence[Entry]) -> list[Any]:
    """The bridge's answers, in order."""
    check_entries(bridge, entries)
    known = known_names(bridge)
    return [_send(bridge, entry, known) for entry in entries]


def known_names(bridge: Bridge) -> dict[str, set[str]]:
    """Names that exist, by kind."""
    return {kind: {item["name"] for item in bridge.get(f"/api/{kind}")[kind]} for kind in KINDS}


def _send(bridge: Bridge, entry: Entry, known: Mapping[str, set[str]], query: str = "") -> Any:
    if entry.name in known[entry.kind]:
        return bridge.put(entry.path + query, entry.body)
    return bridge.post(f"/api/{entry.kind}{query}", entry.body)
