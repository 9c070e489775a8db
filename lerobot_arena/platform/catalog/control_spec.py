# SPDX-License-Identifier: Apache-2.0
"""ControlSpec: all a runner has to know to drive a robot with a network, in the browser and on the server alike.

Both adapters (`onnx_metadata.py`, `unitree_yaml.py`) end in one; docs/contract.md describes its JSON and the loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import reading
from lerobot_arena.platform.catalog.terms import TERMS

VERSION = 1
MOST_JOINTS = 256
MOST_TERMS = 64
LONGEST_HISTORY = 200
WIDEST_OBSERVATION = 65_536
SHORTEST_DT_S, LONGEST_DT_S = 0.001, 0.2
COMMANDS = ("lin_vel_x", "lin_vel_y", "ang_vel_z")

Vector = tuple[float, ...]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the observation: raw → clip → scale, its last `history_length` readings oldest first."""

    name: str
    scale: float | Vector = 1.0
    clip: Range | None = None
    history_length: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)

    def width(self, joints: int) -> int:
        """Numbers of one reading."""
        return TERMS[self.name].width_for(joints)


@dataclass(frozen=True, slots=True)
class Initial:
    """Where the free joint starts; `base_quat` is w, x, y, z."""

    base_pos: Vector
    base_quat: Vector


@dataclass(frozen=True, slots=True)
class Fell:
    """When a robot counts as fallen; None asks nothing."""

    min_height: float | None = None
    max_tilt_deg: float | None = None


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """One policy's side of the loop. Vectors are in the order of `joint_names`; radians, seconds, SI."""

    control_dt: float
    joint_names: tuple[str, ...]
    default_joint_pos: Vector
    stiffness: Vector
    damping: Vector
    action_scale: Vector
    action_offset: Vector
    observations: tuple[Term, ...]
    commands: Mapping[str, Range]
    armature: float | None = None
    action_clip: tuple[Range, ...] | None = None
    input_name: str = "obs"
    output_name: str = "actions"
    initial: Initial | None = None
    fell: Fell = Fell()
    version: int = VERSION

    @property
    def observation_width(self) -> int:
        """Numbers the network is given: Σ width · history."""
        return sum(term.width(len(self.joint_names)) * term.history_length for term in self.observations)

    def check_network(self, input_width: int, output_width: int) -> None:
        """Raises InvalidInput with the sum of the terms when the network has other sizes."""
        joints = len(self.joint_names)
        if output_width != joints:
            raise InvalidInput(
                f"The network has {output_width} actions, but joint_names has {joints} joints."
            )
        if input_width != self.observation_width:
            parts = [
                f"{t.name} {t.width(joints)}" + (f"×{t.history_length}" if t.history_length > 1 else "")
                for t in self.observations
            ]
            raise InvalidInput(
                f"The network takes {input_width} numbers, but its observations add up to "
                f"{self.observation_width}: {' + '.join(parts)}."
            )

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        told["observations"] = [_term_json(term) for term in self.observations]
        told["commands"] = {name: list(self.commands[name]) for name in COMMANDS}
        told["action_clip"] = None if self.action_clip is None else [list(pair) for pair in self.action_clip]
        told["fell"] = {"min_height": self.fell.min_height, "max_tilt_deg": self.fell.max_tilt_deg}
        told["initial"] = self.initial and {
            "base_pos": list(self.initial.base_pos),
            "base_quat": list(self.initial.base_quat),
        }
        return {key: list(value) if isinstance(value, tuple) else value for key, value in told.items()}


def from_json(value: Any, where: str = "control spec") -> ControlSpec:
    """Read one strictly. Raises InvalidInput naming every missing key, or the first that is wrong."""
    entry = strict.mapping(value, where)
    strict.only(entry, ControlSpec, where)
    reading.required(entry, _REQUIRED, where)
    if entry.get("version", VERSION) != VERSION:
        raise InvalidInput(f"{where}: version {entry['version']!r} is unknown; this reads version {VERSION}.")
    names = reading.plain_names(entry["joint_names"], f"{where}: joint_names", MOST_JOINTS)
    count = len(names)

    def per_joint(key: str, lowest: float = -reading.LARGEST) -> Vector:
        return reading.vector(entry[key], count, f"{where}: {key}", lowest=lowest)

    spec = ControlSpec(
        control_dt=strict.number(entry["control_dt"], f"{where}: control_dt", SHORTEST_DT_S, LONGEST_DT_S),
        joint_names=names,
        default_joint_pos=per_joint("default_joint_pos"),
        stiffness=per_joint("stiffness", 0.0),
        damping=per_joint("damping", 0.0),
        action_scale=per_joint("action_scale"),
        action_offset=per_joint("action_offset"),
        observations=_terms(entry["observations"], count, f"{where}: observations"),
        commands=commands(entry["commands"], f"{where}: commands"),
        armature=_optional(entry.get("armature"), f"{where}: armature", 0.0, reading.LARGEST),
        action_clip=_action_clip(entry.get("action_clip"), count, f"{where}: action_clip"),
        input_name=reading.plain_name(entry.get("input_name", "obs"), f"{where}: input_name"),
        output_name=reading.plain_name(entry.get("output_name", "actions"), f"{where}: output_name"),
        initial=initial(entry.get("initial"), f"{where}: initial"),
        fell=fell(entry.get("fell"), f"{where}: fell"),
    )
    if spec.observation_width > WIDEST_OBSERVATION:
        raise InvalidInput(
            f"{where}: the observations are {spec.observation_width} numbers wide; {WIDEST_OBSERVATION} is the limit."
        )
    return spec


_OPTIONAL = {"version", "armature", "action_clip", "input_name", "output_name", "initial", "fell"}
_REQUIRED = tuple(item.name for item in fields(ControlSpec) if item.name not in _OPTIONAL)


def commands(value: Any, where: str) -> dict[str, Range]:
    """A range for each of COMMANDS. Raises InvalidInput for one without 0, which a released key asks for."""
    entry = strict.mapping(value, where)
    strict.only(entry, COMMANDS, where)
    reading.required(entry, COMMANDS, where)
    found = {name: reading.pair(entry[name], f"{where}.{name}") for name in COMMANDS}
    for name, (low, high) in found.items():
        if not low <= 0 <= high:
            raise InvalidInput(
                f"{where}.{name} must have 0 in it, got [{low:g}, {high:g}]: a run starts with the command 0, and a "
                "key that is let go asks for it."
            )
    return found


def initial(value: Any, where: str) -> Initial | None:
    """The start of the free joint. Raises InvalidInput for a quaternion without a direction."""
    if value is None:
        return None
    entry = strict.mapping(value, where)
    strict.only(entry, Initial, where)
    reading.required(entry, ("base_pos", "base_quat"), where)
    quaternion = reading.vector(entry["base_quat"], 4, f"{where}.base_quat")
    length = sum(part * part for part in quaternion) ** 0.5
    if not 0.9 < length < 1.1:
        raise InvalidInput(
            f"{where}.base_quat must be a unit quaternion w, x, y, z; its length is {length:g}."
        )
    return Initial(reading.vector(entry["base_pos"], 3, f"{where}.base_pos"), quaternion)


def fell(value: Any, where: str) -> Fell:
    """When the robot counts as fallen."""
    if value is None:
        return Fell()
    entry = strict.mapping(value, where)
    strict.only(entry, Fell, where)
    return Fell(
        _optional(entry.get("min_height"), f"{where}.min_height", -reading.LARGEST, reading.LARGEST),
        _optional(entry.get("max_tilt_deg"), f"{where}.max_tilt_deg", 0.0, 180.0),
    )


def _optional(value: Any, what: str, lowest: float, highest: float) -> float | None:
    return None if value is None else strict.number(value, what, lowest, highest)


def _action_clip(value: Any, joints: int, what: str) -> tuple[Range, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != joints:
        raise InvalidInput(f"{what} must be null or {joints} pairs [lowest, highest].")
    return tuple(reading.pair(item, f"{what}[{index}]") for index, item in enumerate(value))


def _terms(value: Any, joints: int, where: str) -> tuple[Term, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_TERMS:
        raise InvalidInput(f"{where} must be a list of 1 to {MOST_TERMS} terms.")
    return tuple(_term(item, joints, f"{where}[{index}]") for index, item in enumerate(value))


def _term(value: Any, joints: int, where: str) -> Term:
    entry = strict.mapping(value, where)
    strict.only(entry, Term, where)
    reading.required(entry, ("name",), where)
    name = strict.choice(entry["name"], list(TERMS), f"{where}.name")
    scale = entry.get("scale", 1.0)
    width = TERMS[name].width_for(joints)
    return Term(
        name,
        reading.vector(scale, width, f"{where}.scale of {name}")
        if isinstance(scale, list | tuple)
        else strict.number(scale, f"{where}.scale of {name}", -reading.LARGEST, reading.LARGEST),
        None if entry.get("clip") is None else reading.pair(entry["clip"], f"{where}.clip of {name}"),
        strict.whole(entry.get("history_length", 1), f"{where}.history_length of {name}", 1, LONGEST_HISTORY),
        _params(name, entry.get("params") or {}, f"{where}.params of {name}"),
    )


def _params(name: str, value: Any, where: str) -> dict[str, Any]:
    """Only what the term uses is kept; writers add notes of their own, such as `command_name`."""
    entry = strict.mapping(value, where)
    wanted = TERMS[name].params
    reading.required(entry, wanted, where)
    return {key: strict.number(entry[key], f"{where}.{key}", SHORTEST_DT_S, 1000.0) for key in wanted}


def _term_json(term: Term) -> dict[str, Any]:
    return {
        "name": term.name,
        "scale": list(term.scale) if isinstance(term.scale, tuple) else term.scale,
        "clip": None if term.clip is None else list(term.clip),
        "history_length": term.history_length,
        "params": dict(term.params),
    }


def slices(spec: ControlSpec) -> list[slice]:
    """Where each term lies in the observation."""
    joints = len(spec.joint_names)
    edges = [0]
    for term in spec.observations:
        edges.append(edges[-1] + term.width(joints) * term.history_length)
    return [slice(low, high) for low, high in pairwise(edges)]
