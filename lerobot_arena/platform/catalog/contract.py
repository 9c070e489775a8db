# SPDX-License-Identifier: Apache-2.0
"""The open contract: what policy.yaml, robot.yaml and scene.yaml say. docs/contract.md describes every key.

The same fields, in snake case, that publishing takes over HTTP.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import adapters, reading, refs, safe_yaml

SCHEMA = 1
ADAPTERS = adapters.ADAPTERS
LONGEST_PATH = LONGEST_TITLE = 200
LONGEST_DESCRIPTION = 10_000


@dataclass(frozen=True, slots=True)
class Transform:
    """Where a scene's GLB goes in the robot's world (metres, z up); `quaternion` is x, y, z, w as in glTF."""

    position: tuple[float, ...] = (0.0, 0.0, 0.0)
    quaternion: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """policy.yaml. `config` is a file beside it, or what would stand in that file."""

    kind: ClassVar[str] = "policy"
    needs: ClassVar[tuple[str, ...]] = ("slug", "title", "runtime_adapter", "model")
    slug: str
    title: str
    runtime_adapter: str
    model: str
    description: str = ""
    owner: str | None = None
    depth_model: str | None = None
    config: str | dict[str, Any] | None = None
    default_robot: str | None = None
    default_scene: str | None = None

    def to_json(self) -> dict[str, Any]:
        """With its kind, which `of` reads."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True)
class RobotFile:
    """robot.yaml. `bundle` is a zip beside it, or a folder that publishing zips."""

    kind: ClassVar[str] = "robot"
    needs: ClassVar[tuple[str, ...]] = ("slug", "title", "robot_key", "bundle")
    slug: str
    title: str
    robot_key: str
    bundle: str
    description: str = ""
    owner: str | None = None
    entry_xml: str | None = None

    def to_json(self) -> dict[str, Any]:
        """With its kind, which `of` reads."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True)
class SceneFile:
    """scene.yaml: a look over the physics of `benchmark_scene`."""

    kind: ClassVar[str] = "scene"
    needs: ClassVar[tuple[str, ...]] = ("glb",)
    glb: str
    slug: str = refs.DEFAULT_SCENE_SLUG
    title: str = "My Scene"
    description: str = ""
    owner: str | None = None
    preview: str | None = None
    benchmark_scene: str = refs.DEFAULT_SCENE
    transform: Transform = field(default_factory=Transform)

    def to_json(self) -> dict[str, Any]:
        """With its kind, which `of` reads."""
        return {"kind": self.kind, **asdict(self)}


ContractFile = PolicyFile | RobotFile | SceneFile
KINDS: dict[str, type[PolicyFile] | type[RobotFile] | type[SceneFile]] = {
    each.kind: each for each in (PolicyFile, RobotFile, SceneFile)
}
FILE_NAMES = {f"{kind}.yaml": kind for kind in KINDS}


def read(text: str | bytes, name: str, *, most_bytes: int) -> ContractFile:
    """One contract file. Raises InvalidInput naming every missing key, or the first that is wrong."""
    return of(safe_yaml.load(text, name, most_bytes=most_bytes), name)


def of(value: Any, where: str) -> ContractFile:
    """The same, of what was read already."""
    entry = dict(strict.mapping(value, where))
    kind = strict.choice(entry.pop("kind", None), list(KINDS), f"{where}: kind")
    if entry.pop("schema", SCHEMA) != SCHEMA:
        raise InvalidInput(f"{where}: this reads schema {SCHEMA} only.")
    shape = KINDS[kind]
    reading.required(entry, shape.needs, where)
    strict.only(entry, shape, where)
    made = {item.name: _READERS[item.name](entry[item.name], f"{where}: {item.name}")
            for item in fields(shape) if entry.get(item.name) is not None}  # fmt: skip
    return shape(**made)


def transform(value: Any, where: str) -> Transform:
    """A SceneTransform. Raises InvalidInput for no rotation, or a scale that is not positive."""
    entry = strict.mapping(value, where)
    strict.only(entry, Transform, where)
    default = Transform()
    found = Transform(
        reading.vector(entry.get("position", default.position), 3, f"{where}.position"),
        reading.vector(entry.get("quaternion", default.quaternion), 4, f"{where}.quaternion"),
        reading.vector(entry.get("scale", default.scale), 3, f"{where}.scale"),
    )
    if not 0.9 < sum(part * part for part in found.quaternion) ** 0.5 < 1.1:
        raise InvalidInput(f"{where}.quaternion must be a unit quaternion x, y, z, w.")
    if min(found.scale) <= 0:
        raise InvalidInput(f"{where}.scale must be positive.")
    return found


def title(value: Any, what: str) -> str:
    """One line. Raises InvalidInput for none, or one that is too long."""
    text = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(text) <= LONGEST_TITLE or not text.isprintable():
        raise InvalidInput(f"{what} must be 1 to {LONGEST_TITLE} printable characters.")
    return text


def description(value: Any, what: str) -> str:
    """Lines of text. Raises InvalidInput when it is too long, or no text that a database can hold."""
    if not isinstance(value, str) or len(value) > LONGEST_DESCRIPTION or "\0" in value:
        raise InvalidInput(f"{what} must be a text of at most {LONGEST_DESCRIPTION} characters.")
    return value


def _path(value: Any, what: str) -> str:
    """A file or folder beside the contract file, or below."""
    is_good = isinstance(value, str) and value.isprintable() and 0 < len(value) <= LONGEST_PATH
    if (
        not is_good
        or value.startswith(("/", "~"))
        or "\\" in value
        or ":" in value
        or ".." in value.split("/")
    ):
        raise InvalidInput(f"{what} must be the path of a file beside this one, without '..'.")
    return str(value)


def _ref(value: Any, what: str) -> str:
    return str(refs.parse(strict.text(value, what), what))


def _config(value: Any, what: str) -> str | Mapping[str, Any]:
    return _path(value, what) if isinstance(value, str) else dict(strict.mapping(value, what))


_READERS: dict[str, Any] = {
    "slug": lambda value, what: refs.check_slug(strict.text(value, what), what),
    "title": title,
    "description": description,
    "owner": lambda value, what: refs.check_owner(strict.text(value, what)),
    "runtime_adapter": lambda value, what: strict.choice(value, ADAPTERS, what),
    "robot_key": title,
    "model": _path,
    "depth_model": _path,
    "bundle": _path,
    "entry_xml": _path,
    "glb": _path,
    "preview": _path,
    "config": _config,
    "default_robot": _ref,
    "default_scene": _ref,
    "benchmark_scene": _ref,
    "transform": transform,
}
