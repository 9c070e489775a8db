# SPDX-License-Identifier: Apache-2.0
"""A robot's XML files before MuJoCo sees them: which is the entry, and that no reference leads out of the bundle.

Every attribute that MuJoCo takes for a path (XML reference: `file…`, `…dir`, `assetdir`) is checked from each folder it
might count from, because MuJoCo itself opens whatever it is told.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.limits import ModelLimits

_MOST_ASSET_DIRS = 16
_DEEPEST = 200
_DIRECTORIES = {"meshdir", "texturedir", "assetdir"}
# A URL's scheme or a drive: MuJoCo hands those to whatever provider has registered.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FAVOURITES = ("scene.xml", "robot.xml", "main.xml")


@dataclass(slots=True)
class XmlFacts:
    """What one file says: its root, its elements with all copies, and every path; `models` are XML that it takes in."""

    root: str = ""
    elements: float = 0.0
    models: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)


def find_entry(folder: Path, members: Sequence[str], wanted: str | None, limits: ModelLimits) -> str:
    """The entry XML of an unpacked bundle, checked with all XML beside it.

    `wanted` is what the publisher named. Raises InvalidInput when there is none, several, or one that leads outside.
    """
    read = {name: look(folder / name, name, limits) for name in members if name.lower().endswith(".xml")}
    models = [name for name, facts in read.items() if facts.root == "mujoco"]
    entry = _named(wanted, read) if wanted else _guessed(models, read)
    if read[entry].root == "robot":
        raise InvalidInput(f"{entry} is a URDF; save it as MJCF with MuJoCo first.")
    if read[entry].root != "mujoco":
        raise InvalidInput(
            f"{entry} is no MJCF: its root element is {read[entry].root[:40]!r}, not 'mujoco'."
        )
    _check_references(entry, read)
    return entry


def _check_references(entry: str, read: dict[str, XmlFacts]) -> None:
    """Of the entry and all XML it can reach, wherever MuJoCo counts their paths from."""
    directories = {item for facts in read.values() for item in facts.directories} | {""}
    if len(directories) > _MOST_ASSET_DIRS:
        raise InvalidInput(f"The robot's XML files name more than {_MOST_ASSET_DIRS} asset folders.")
    waiting, seen = [entry], {entry}
    while waiting:
        name = waiting.pop()
        facts = read[name]
        folders = {str(PurePosixPath(path).parent) for path in (entry, name)}
        for value in facts.directories:
            _check_inside(value, folders, {""}, name)
        for value in facts.files + facts.models:
            _check_inside(value, folders, directories, name)
        for value in facts.models:
            if not value.lower().endswith(".xml"):
                raise InvalidInput(f"{name} includes {value[:80]!r}; models in models must be .xml files.")
            reached = {
                _clean(f"{folder}/{directory}/{value}") for folder in folders for directory in directories
            }
            waiting += sorted((reached & set(read)) - seen)
            seen |= reached


def look(path: Path, name: str, limits: ModelLimits) -> XmlFacts:
    """Every path in one XML file. Raises InvalidInput when it is no XML, declares a document type, or is too large."""
    size = path.stat().st_size
    if size > limits.xml_bytes:
        raise InvalidInput(f"{name} has {size} bytes; {limits.xml_bytes} is the limit for XML.")
    facts, copies = XmlFacts(), [1.0]

    def start(tag: str, attributes: dict[str, str]) -> None:
        facts.root = facts.root or tag
        copies.append(copies[-1] * _copies(attributes))
        facts.elements += copies[-1]
        if facts.elements > limits.xml_elements or len(copies) > _DEEPEST:
            raise InvalidInput(
                f"{name} has more than {limits.xml_elements} elements, or nests them deeper than {_DEEPEST}."
            )
        for key, value in attributes.items():
            _note(facts, tag, key, value)

    def end(_: str) -> None:
        copies.pop()

    def doctype(*_: object) -> None:
        raise InvalidInput(f"{name} declares a document type (DOCTYPE), which robots do not need.")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = doctype
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise InvalidInput(f"{name} is no XML: {error}.") from error
    return facts


def _copies(attributes: dict[str, str]) -> float:
    """How often `replicate`, `composite` or `flexcomp` will build what they hold: the product of their `count`."""
    counts = [float(part) for part in attributes.get("count", "").split() if part.isdecimal()]
    return max(1.0, prod(counts))


def _note(facts: XmlFacts, tag: str, key: str, value: str) -> None:
    if key in _DIRECTORIES:
        facts.directories.append(value)
    elif key.startswith("file"):
        (facts.models if tag in {"include", "model"} else facts.files).append(value)


def _check_inside(value: str, folders: Iterable[str], directories: Iterable[str], name: str) -> None:
    """Wherever MuJoCo counts from, the path stays in the bundle."""
    for directory in directories:
        if not _is_relative(value) or not _is_relative(directory):
            break
        if not all(_stays(f"{folder}/{directory}/{value}") for folder in folders):
            break
    else:
        return
    raise InvalidInput(f"{name} refers to {value[:80]!r}, which is outside the bundle.")


def _is_relative(path: str) -> bool:
    is_plain = path.isprintable() and "\\" not in path and not path.startswith(("/", "~"))
    return is_plain and not _SCHEME.match(path)


def _stays(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return False
    return True


def _clean(path: str) -> str:
    """Without `.`, `..` and doubled slashes; of a path that stays inside."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in {"", ".", ".."}:
            parts.append(part)
    return "/".join(parts)


def _named(wanted: str, read: dict[str, XmlFacts]) -> str:
    clean = _clean(wanted) if _stays(wanted) else wanted
    if clean not in read:
        raise InvalidInput(
            f"The bundle has no XML file {wanted[:80]!r} (entryXmlPath); "
            f"it has {', '.join(sorted(read))[:300] or 'none'}."
        )
    return clean


def _guessed(models: list[str], read: dict[str, XmlFacts]) -> str:
    """The one model nobody includes, the shallowest of those, or one with a usual name."""
    urdf = next((name for name, facts in read.items() if facts.root == "robot"), None)
    if not models and urdf:
        raise InvalidInput(f"{urdf} is a URDF; save it as MJCF with MuJoCo first.")
    if not models:
        raise InvalidInput("The bundle has no MJCF file: put an XML with the root element <mujoco> into it.")
    included = {PurePosixPath(item).name for facts in read.values() for item in facts.models}
    tops = [name for name in models if PurePosixPath(name).name not in included] or models
    shallow = min(name.count("/") for name in tops)
    tops = [name for name in tops if name.count("/") == shallow]
    usual = [name for favourite in _FAVOURITES for name in tops if PurePosixPath(name).name == favourite]
    if len(tops) > 1 and not usual:
        raise InvalidInput(
            f"The bundle has several models, {', '.join(sorted(tops))[:300]}: name one as entryXmlPath."
        )
    return (usual or tops)[0]
