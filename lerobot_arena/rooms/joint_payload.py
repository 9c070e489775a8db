# SPDX-License-Identifier: Apache-2.0
"""Joint values as clients send them, checked and named as the session names its joints. Pure.

Two shapes: `[{"name": "shoulder_pan", "value": 12.5}, …]` (RobotHub's `joint_update.data`; further keys are ignored)
and `{"shoulder_pan.pos": 12.5, …}` (LeRobot's observation). Names may be LeRobot's, the RobotHub frontend's or the two
older sets of its server; see lerobot-arena-upstream §2.3. A message may name a part of the joints; one bad entry
refuses the whole message.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, pi
from typing import Any, Protocol

from lerobot_arena.core.chunk import MAX_JOINTS
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.units import DEGREES, NORMALIZED, RADIANS, check_unit

GRIPPER = "gripper"
LONGEST_NAME = 50
# LeRobot's name first, then the frontend's, then the two legacy sets of the RobotHub inference server.
SAME_JOINT: tuple[tuple[str, ...], ...] = (
    ("shoulder_pan", "Rotation", "base_rotation", "shoulder_pan_joint"),
    ("shoulder_lift", "Pitch", "shoulder_tilt", "shoulder_lift_joint"),
    ("elbow_flex", "Elbow", "elbow_bend", "elbow_joint"),
    ("wrist_flex", "Wrist_Pitch", "wrist_rotate", "wrist_1_joint"),
    ("wrist_roll", "Wrist_Roll", "wrist_tilt", "wrist_2_joint"),
    (GRIPPER, "Jaw", "wrist_twist", "wrist_3_joint"),
)
_SUFFIX = ".pos"
_RANGES = {NORMALIZED: (-100.0, 100.0), DEGREES: (-360.0, 360.0), RADIANS: (-2 * pi, 2 * pi)}
_GRIPPER_RANGE = (0.0, 100.0)
# A client that normalises in float32 lands a hair beyond the end.
_SLACK = 1e-3


class JointPayloadError(InvalidInput):
    """A joint message is unusable; `code` says how, for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class JointUpdate:
    """Checked values of some joints, in the session's names and unit."""

    names: tuple[str, ...]
    values: tuple[float, ...]

    def merged_into(self, known: Mapping[str, float]) -> dict[str, float]:
        """All values known after this update; joints it does not name keep theirs."""
        return {**known, **dict(zip(self.names, self.values, strict=True))}


class Joints(Protocol):
    """Which joints there are, and what they may be."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Those there are; empty: any."""

    @property
    def unit(self) -> str:
        """Of the values."""

    def name_of(self, name: str) -> str:
        """What the room calls it. Raises JointPayloadError."""

    def range_of(self, name: str) -> tuple[float, float]:
        """Lowest and highest value."""


@dataclass(frozen=True)
class JointVocabulary:
    """The joints a session has, every name they may be called by, and the values they may take.

    `joint_names` empty: any name is taken as it is, known aliases by LeRobot's name. `aliases` are a robot file's,
    by its joint name; `grippers` are joints that go from 0 to 100 besides LeRobot's own.
    """

    joint_names: tuple[str, ...] = ()
    unit: str = NORMALIZED
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    grippers: frozenset[str] = frozenset({GRIPPER})
    _own_name: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        check_unit(self.unit)
        families = [*SAME_JOINT, *((name, *others) for name, others in self.aliases.items())]
        for family in families:
            own = [name for name in family if name in self.joint_names] if self.joint_names else [family[0]]
            # Two of the session's joints in one family: these names tell them apart, so no alias is safe.
            if len(own) == 1:
                for name in family:
                    self._own_name.setdefault(name, own[0])
        for name in self.joint_names:
            self._own_name[name] = name

    def name_of(self, name: str) -> str:
        """The session's own name of a joint. Raises JointPayloadError with the names there are."""
        bare = name if name in self._own_name else name.removesuffix(_SUFFIX)
        own = self._own_name.get(bare)
        if own is None and not self.joint_names and bare:
            return bare
        if own is None:
            raise JointPayloadError(
                "joint_unknown",
                f"There is no joint {name[:60]!r}. This session has: {', '.join(self.joint_names)}.",
            )
        return own

    def range_of(self, name: str) -> tuple[float, float]:
        """Lowest and highest value of one of the session's joints, in its unit."""
        is_gripper = name in self.grippers or any(
            name in family and family[0] in self.grippers for family in SAME_JOINT
        )
        return _GRIPPER_RANGE if is_gripper and self.unit != RADIANS else _RANGES[self.unit]


def parse_joints(payload: Any, vocabulary: Joints) -> JointUpdate:
    """The update a client's message means. Raises JointPayloadError: nothing of the message may then be used."""
    found: dict[str, float] = {}
    for name, value in _entries(payload):
        own = vocabulary.name_of(name)
        if own not in vocabulary.joint_names:
            _check_name(own)
        if own in found:
            raise JointPayloadError("joint_twice", f"The message names joint {own!r} twice.")
        found[own] = _number(own, value, vocabulary)
    return JointUpdate(tuple(found), tuple(found.values()))


def _check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise JointPayloadError(
            "joint_name", f"A joint name has at most {LONGEST_NAME} printable characters."
        )


def _entries(payload: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(payload, list | dict):
        raise JointPayloadError(
            "joints_shape",
            f"Joint values must be a list of {{name, value}} or an object of name: value, not {_kind(payload)}.",
        )
    if not payload:
        raise JointPayloadError("joints_empty", "The message names no joint.")
    if len(payload) > MAX_JOINTS:
        raise JointPayloadError(
            "joints_too_many", f"The message names {len(payload)} joints; at most {MAX_JOINTS}."
        )
    entries = list(payload.items()) if isinstance(payload, dict) else [_pair(entry) for entry in payload]
    for name, _ in entries:
        if not isinstance(name, str) or not name:
            raise JointPayloadError("joint_name", f"A joint name must be a text, not {_kind(name)}.")
    return entries


def _pair(entry: Any) -> tuple[Any, Any]:
    if not isinstance(entry, dict) or "name" not in entry or "value" not in entry:
        raise JointPayloadError("joint_entry", "Each entry of a joint list needs a name and a value.")
    return entry["name"], entry["value"]


def _number(name: str, value: Any, vocabulary: Joints) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JointPayloadError("joint_value", f"Joint {name!r} has {_kind(value)} where a number belongs.")
    # An int beyond a float's range is not finite either.
    number = float(value) if abs(value) < 1e300 else float("inf")
    if not isfinite(number):
        raise JointPayloadError("joint_not_finite", f"Joint {name!r} is not a finite number.")
    lowest, highest = vocabulary.range_of(name)
    if not lowest - _SLACK <= number <= highest + _SLACK:
        raise JointPayloadError(
            "joint_out_of_range",
            f"Joint {name!r} is {number:g}; in {vocabulary.unit} it lies between {lowest:g} and {highest:g}.",
        )
    return min(max(number, lowest), highest)


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
