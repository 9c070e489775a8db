# SPDX-License-Identifier: Apache-2.0
"""What a message type is, as rosbag2 writes it into a file: its text with all it depends on, and its RIHS01 hash.

Both come from the ament index (`share/<package>/msg/<Type>.msg` and `.json`), which a sourced ROS and the wheels have.
Text: https://mcap.dev/spec/registry#ros2msg, dependencies in rosbag2's order. Hash: REP-2016.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lerobot_arena.core.cdr import ENCAPSULATION
from lerobot_arena.core.errors import NotFound

ENCODING = "ros2msg"
_TYPE = re.compile(r"([A-Za-z][A-Za-z0-9_]*)/(?:(msg)/)?([A-Za-z][A-Za-z0-9_]*)")
# The two below are how rosbag2 finds what a definition depends on.
_FIELD = re.compile(r"(?:\A|\n)\s*([a-zA-Z0-9_/]+)(?:\[[^\]]*\])?\s+")
_PRIMITIVES = frozenset(
    [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    + ["bool", "byte", "char", "float32", "float64", "string"]
)
_RULE = "=" * 80
# type_description_interfaces/FieldType: id → bytes on the wire, of those with a fixed size
_SIZES = {2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 1, 15: 1, 16: 1}
_NESTED = 1
_STAMPS = ("builtin_interfaces/msg/Time", "std_msgs/msg/Header")


@dataclass(frozen=True, slots=True)
class Definition:
    """A message type. `stamp_offset`: where its own stamp begins in a serialised message; -1: it has none there."""

    type_name: str
    text: str
    type_hash: str
    stamp_offset: int = -1


def definition_of(type_name: str) -> Definition:
    """The definition of `package/msg/Type`. Raises NotFound when the ament index does not have it."""
    return _definition(type_name, tuple(_prefixes(os.environ)))


def _prefixes(environment: Mapping[str, str]) -> Iterator[str]:
    yield from filter(None, environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    yield sys.prefix


@cache
def _definition(type_name: str, prefixes: tuple[str, ...]) -> Definition:
    description = json.loads(_file(type_name, ".json", prefixes).read_text(encoding="utf-8"))
    hashes = {entry["type_name"]: entry["hash_string"] for entry in description["type_hashes"]}
    wanted = "/".join(_parts(type_name))
    fields = description["type_description_msg"]["type_description"]["fields"]
    return Definition(wanted, _whole_text(wanted, prefixes), hashes[wanted], _stamp_offset(fields))


def _parts(type_name: str) -> tuple[str, str, str]:
    match = _TYPE.fullmatch(type_name)
    if match is None:
        raise NotFound(f"{type_name!r} is not a message type: expected package/msg/Type.")
    return match[1], "msg", match[3]


def _file(type_name: str, suffix: str, prefixes: tuple[str, ...]) -> Path:
    package, folder, name = _parts(type_name)
    for prefix in prefixes:
        path = Path(prefix) / "share" / package / folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise NotFound(
        f"{type_name} is in none of {', '.join(prefixes)}: install its package, or source its workspace."
    )


def _whole_text(type_name: str, prefixes: tuple[str, ...]) -> str:
    seen: set[str] = set()

    def append(name: str) -> str:
        package = name.partition("/")[0]
        own = _file(name, ".msg", prefixes).read_text(encoding="utf-8")
        parts = [own]
        for dependency in _dependencies(own, package):
            if dependency not in seen:
                seen.add(dependency)
                parts.append(f"\n{_RULE}\nMSG: {dependency}\n{append(dependency)}")
        return "".join(parts)

    return append(type_name)


def _dependencies(text: str, package: str) -> list[str]:
    found = {match[1] for match in _FIELD.finditer(text)} - _PRIMITIVES
    return sorted(name if "/" in name else f"{package}/{name}" for name in found)


def _stamp_offset(fields: list[dict[str, Any]]) -> int:
    at = 0
    for field in fields:
        kind = field["type"]
        if kind["type_id"] == _NESTED and kind["nested_type_name"] in _STAMPS:
            return ENCAPSULATION + at + -at % 4
        size = _SIZES.get(kind["type_id"])
        if size is None:
            return -1
        at += -at % size + size
    return -1
