# SPDX-License-Identifier: Apache-2.0
"""What is said on a room's socket, as the client writes and reads it; docs/rooms.md has the tables. Pure."""

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lerobot_arena.core.errors import (
    ArenaError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    TooMany,
)
from lerobot_arena.core.room_codes import Close
from lerobot_arena.core.strict import is_number

PRODUCER, CONSUMER = "producer", "consumer"
ROLES = (PRODUCER, CONSUMER)
_V3 = struct.Struct(">BIQI")
_MOST_AGE_US = 2**32 - 1

_KINDS: Mapping[str, type[ArenaError]] = {
    "join_invalid": InvalidInput,
    "join_late": InvalidInput,
    "not_found": NotFound,
    "forbidden": Forbidden,
    "ros_only": Forbidden,
    "ros_produces": Conflict,
    "participant_taken": Conflict,
    "producer_taken": Conflict,
    "resume_unknown": Conflict,
    "room_full": TooMany,
    "too_many_participants": TooMany,
}
# After these the connection is not to be made again: the room is gone, or somebody has our place on purpose.
FINAL_CLOSES = frozenset({Close.BAD_JOIN, Close.FORBIDDEN, Close.ROOM_CLOSED, Close.RESUMED})


def read(text: str | bytes) -> dict[str, Any]:
    """A message. Raises ValueError for anything but an object with a type."""
    try:
        message = json.loads(text)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError("no message")
    return message


def write(message: Mapping[str, Any]) -> str:
    """Raises ValueError for NaN and Infinity: JSON has neither."""
    return json.dumps(message, allow_nan=False, separators=(",", ":"))


def refusal_of(message: Mapping[str, Any]) -> ArenaError:
    """The error behind an `error` message."""
    code = str(message.get("code") or "")
    sentence = str(message.get("detail") or message.get("message") or "The room refused.")
    error = _KINDS.get(code, ArenaError)(sentence)
    if code:
        error.code = code
    return error


def joint_update(joints: Mapping[str, float], *, seq: int, stamp_ns: int, age_s: float) -> str:
    """What a producer says; `stamp_ns` on its steady clock."""
    data = [{"name": name, "value": value} for name, value in joints.items()]
    age_ms = round(age_s * 1000.0, 3)
    return write(
        {"type": "joint_update", "data": data, "seq": seq, "stamp_mono_ns": stamp_ns, "age_ms": age_ms}
    )


def joints_of(data: Any) -> dict[str, float]:
    """The values of a `joint_update` or `state_sync`. Raises ValueError for what is no finite number."""
    pairs: Iterable[tuple[Any, Any]]
    if isinstance(data, Mapping):
        pairs = data.items()
    elif isinstance(data, list):
        pairs = [(item["name"], item["value"]) if isinstance(item, dict) else (None, None) for item in data]
    else:
        raise ValueError("no joints")
    found = {}
    for name, value in pairs:
        if not isinstance(name, str) or not is_number(value):
            raise ValueError("no joint value")
        found[name] = float(value)
    return found


def number(message: Mapping[str, Any], name: str, default: float = 0.0) -> float:
    """A finite number of a message, or the default where it has none. Raises ValueError."""
    value = message.get(name)
    if value is None:
        return default
    if not is_number(value):
        raise ValueError(f"{name} is no number")
    return value


@dataclass(frozen=True, slots=True)
class RoomFrame:
    """A picture out of a room. `age_s` is None when nobody knows how old it was on arrival."""

    jpeg: bytes
    camera: str
    seq: int = 0
    stamp_mono_ns: int = 0
    age_s: float | None = None


def pack_frame(jpeg: bytes, *, seq: int, stamp_ns: int, age_s: float) -> bytes:
    """[0x03][seq, 4][stamp_mono_ns, 8][age in µs, 4][0: no name][JPEG], numbers big-endian."""
    age_us = min(max(round(age_s * 1e6), 0), _MOST_AGE_US)
    return _V3.pack(3, seq % 2**32, stamp_ns, age_us) + b"\0" + jpeg


def read_frame(data: bytes) -> RoomFrame:
    """What the server sends. Raises ValueError."""
    version, at = data[:1], 1
    seq, stamp_ns, age_s = 0, 0, None
    if version == b"\x03" and len(data) > _V3.size:
        _, seq, stamp_ns, age_us = _V3.unpack_from(data)
        at, age_s = _V3.size, age_us / 1e6
    elif version != b"\x01":
        raise ValueError("no frame")
    begin = at + 1 + (data[at] if len(data) > at else 256)
    if begin > len(data):
        raise ValueError("a cut frame")
    return RoomFrame(data[begin:], data[at + 1 : begin].decode("utf-8", "replace"), seq, stamp_ns, age_s)
