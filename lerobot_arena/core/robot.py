# SPDX-License-Identifier: Apache-2.0
"""RobotSpec: joints, limits, units and cameras of one robot, loaded and validated once (config/robots/*.yaml)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.units import RADIANS, JointScale

_JOINT_KEYS = {
    "name", "lower_rad", "upper_rad", "max_velocity_rad_s", "max_acceleration_rad_s2",
    "range_lower_rad", "range_upper_rad", "zero_rad", "is_gripper", "aliases",
}  # fmt: skip
_CAMERA_KEYS = {"width", "height", "rate_hz"}
_Z_AXIS = (0.0, 0.0, 1.0)
_ROBOT_KEYS = {"name", "description", "joints", "cameras", "is_calibrated", "model"}


@dataclass(frozen=True, slots=True)
class JointSpec:
    """One joint: hard limits the guard keeps, and the scale that maps LeRobot's units to radians."""

    name: str
    lower_rad: float
    upper_rad: float
    max_velocity_rad_s: float
    max_acceleration_rad_s2: float
    scale: JointScale
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """One camera as the embodiment publishes it."""

    name: str
    width: int = 640
    height: int = 480
    rate_hz: float = 30.0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where the arm's shape is known from: an MJCF, or a URDF, with the robot's joints by name or alias.

    `mjcf` is `package:path` inside an installed package, or a file. `end_effector` is a site or body of it, `tool_axis`
    the way the tool points in that one's own frame, and the table a plane of that height in the MJCF's frame, which
    counts as the robot's base frame.
    """

    mjcf: str
    end_effector: str
    tool_axis: tuple[float, ...] = _Z_AXIS
    table_height_m: float = 0.0

    def mapping(self) -> dict[str, Any]:
        """What a robot file says under `model`."""
        return {
            "mjcf": self.mjcf,
            "end_effector": self.end_effector,
            "tool_axis": list(self.tool_axis),
            "table_height_m": self.table_height_m,
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds per joint, each of length D, in one unit and its rates."""

    joint_names: tuple[str, ...]
    unit: str
    lower: FloatArray
    upper: FloatArray
    max_velocity: FloatArray
    max_acceleration: FloatArray


@dataclass(frozen=True)
class RobotSpec:
    """A robot's joints and cameras; `is_calibrated` says whether LeRobot's units mean something on it."""

    name: str
    joints: tuple[JointSpec, ...]
    cameras: tuple[CameraSpec, ...] = ()
    description: str = ""
    is_calibrated: bool = True
    model: ModelSpec | None = None
    _index: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for index, joint in enumerate(self.joints):
            for name in (joint.name, *joint.aliases):
                if self._index.setdefault(name, index) != index:
                    raise InvalidInput(f"Robot {self.name!r}: the joint name {name!r} stands for two joints.")

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def order(self, names: Sequence[str], what: str) -> list[int]:
        """Positions in `names` of this robot's joints, in its order. Raises InvalidInput naming the difference."""
        bare = [name.removesuffix(".pos") for name in names]
        found = [self._index.get(name) for name in bare]
        unknown = [name for name, index in zip(bare, found, strict=True) if index is None]
        missing = [joint.name for i, joint in enumerate(self.joints) if i not in found]
        if unknown or missing or len(names) != len(self.joints):
            parts = [f"unknown {', '.join(unknown)}"] if unknown else []
            parts += [f"missing {', '.join(missing)}"] if missing else []
            detail = "; ".join(parts or ["a joint is named twice"])
            raise InvalidInput(f"{what} does not name the joints of {self.name!r}: {detail}.")
        return [found.index(i) for i in range(len(self.joints))]

    def affine(self, unit: str) -> tuple[FloatArray, FloatArray]:
        """(scale, offset), each D, with rad = offset + scale·value. Raises InvalidInput on an uncalibrated robot."""
        if unit != RADIANS and not self.is_calibrated:
            raise InvalidInput(
                f"Robot {self.name!r} has no calibration, so {unit} has no meaning on it: "
                "run LeRobot's calibration and add it with `arena robot add --calibration`."
            )
        pairs = [joint.scale.affine(unit) for joint in self.joints]
        return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])

    def to_radians(self, values: FloatArray, unit: str) -> FloatArray:
        """Values (… × D, this robot's order) in `unit` as radians."""
        scale, offset = self.affine(unit)
        return offset + scale * values

    def from_radians(self, values: FloatArray, unit: str) -> FloatArray:
        """Radians (… × D, this robot's order) as values in `unit`."""
        scale, offset = self.affine(unit)
        return (values - offset) / scale

    def limits(self, unit: str = RADIANS) -> Limits:
        """The guard's bounds expressed in `unit`."""
        scale, _ = self.affine(unit)
        pairs = [j.scale.limits(unit, j.lower_rad, j.upper_rad) for j in self.joints]
        return Limits(
            self.joint_names,
            unit,
            np.array([p[0] for p in pairs]),
            np.array([p[1] for p in pairs]),
            np.array([j.max_velocity_rad_s for j in self.joints]) / np.abs(scale),
            np.array([j.max_acceleration_rad_s2 for j in self.joints]) / np.abs(scale),
        )


def _number(entry: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = entry.get(key, default)
    if not strict.is_number(value):
        raise InvalidInput(f"{where}: {key} must be a finite number, got {value!r}.")
    return float(value)


def _only(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{where} must be a mapping, got {type(entry).__name__}.")
    if unknown := set(entry) - known:
        raise InvalidInput(f"{where}: unknown key {sorted(unknown)[0]!r}. Known: {', '.join(sorted(known))}.")


def _joint(entry: Mapping[str, Any], robot: str) -> JointSpec:
    where = f"Robot {robot!r}, joint {entry.get('name') if isinstance(entry, Mapping) else entry!r}"
    _only(entry, _JOINT_KEYS, where)
    lower, upper = _number(entry, "lower_rad", where), _number(entry, "upper_rad", where)
    velocity = _number(entry, "max_velocity_rad_s", where)
    acceleration = _number(entry, "max_acceleration_rad_s2", where)
    if lower >= upper or velocity <= 0 or acceleration <= 0:
        raise InvalidInput(f"{where}: lower_rad must be below upper_rad, and the maxima above 0.")
    scale = JointScale(
        _number(entry, "range_lower_rad", where, lower),
        _number(entry, "range_upper_rad", where, upper),
        _number(entry, "zero_rad", where, 0.0),
        bool(entry.get("is_gripper", False)),
    )
    aliases = tuple(str(alias) for alias in entry.get("aliases", ()))
    return JointSpec(str(entry["name"]), lower, upper, velocity, acceleration, scale, aliases)


def _camera(name: str, entry: Mapping[str, Any], robot: str) -> CameraSpec:
    where = f"Robot {robot!r}, camera {name!r}"
    _only(entry, _CAMERA_KEYS, where)
    width, height = (int(_number(entry, key, where)) for key in ("width", "height"))
    rate_hz = _number(entry, "rate_hz", where, 30.0)
    if min(width, height) < 1 or max(width, height) > 8192 or not 0 < rate_hz <= 240:
        raise InvalidInput(f"{where}: {width}×{height} at {rate_hz} Hz is not a camera.")
    return CameraSpec(name, width, height, rate_hz)


def _model(data: Any, robot: str, folder: Path | None) -> ModelSpec:
    where = f"Robot {robot!r}, model"
    entry = strict.mapping(data, where)
    strict.only(entry, ModelSpec, where)
    for key in ("mjcf", "end_effector"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise InvalidInput(f"{where}: {key} must be a text, got {entry.get(key)!r}.")
    axis = strict.numbers(entry.get("tool_axis"), 3, f"{where}: tool_axis") or _Z_AXIS
    if not any(axis):
        raise InvalidInput(f"{where}: tool_axis points nowhere; give a direction such as [0, 0, 1].")
    mjcf = entry["mjcf"]
    if folder is not None and ":" not in mjcf:
        mjcf = str(folder / mjcf)
    return ModelSpec(mjcf, entry["end_effector"], axis, _number(entry, "table_height_m", where, 0.0))


def robot_from_mapping(data: Mapping[str, Any], *, folder: Path | None = None) -> RobotSpec:
    """Build a RobotSpec from a robot file's content. Raises InvalidInput naming the key that is wrong.

    `folder` is where the paths in it start from.
    """
    _only(data, _ROBOT_KEYS, "Robot file")
    name, joints = data.get("name"), data.get("joints")
    if not isinstance(name, str) or not name or not isinstance(joints, Sequence) or not joints:
        raise InvalidInput("A robot file needs a name and a list of joints.")
    cameras = data.get("cameras") or {}
    return RobotSpec(
        name,
        tuple(_joint(entry, name) for entry in joints),
        tuple(_camera(str(key), value or {}, name) for key, value in cameras.items()),
        str(data.get("description", "")),
        bool(data.get("is_calibrated", True)),
        _model(data["model"], name, folder) if data.get("model") is not None else None,
    )


def load_robot(reference: str | Path) -> RobotSpec:
    """A shipped robot by name, or a robot file by path. Raises InvalidInput, with the names that exist."""
    import yaml

    path, folder = Path(reference), None
    if path.suffix not in {".yaml", ".yml"}:
        shipped = resources.files("lerobot_arena") / "robots"
        names = sorted(
            entry.name.removesuffix(".yaml") for entry in shipped.iterdir() if entry.name.endswith(".yaml")
        )
        if str(reference) not in names:
            raise InvalidInput(
                f"There is no robot {str(reference)!r}. Shipped: {', '.join(names)}; or give a .yaml file."
            )
        text = (shipped / f"{reference}.yaml").read_text()
    elif not path.is_file():
        raise InvalidInput(f"The robot file {path} does not exist.")
    else:
        text, folder = path.read_text(), path.absolute().parent
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"The robot file {reference} is not YAML: {error}") from error
    return robot_from_mapping(data, folder=folder)
