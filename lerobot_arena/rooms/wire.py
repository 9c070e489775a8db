# SPDX-License-Identifier: Apache-2.0
"""What clients may say on a room's socket, read and checked in one place. Pure.

Fields and types follow lerobot-arena-upstream §1.2 and §1.3; ours are optional. Whatever is wrong is refused whole,
with a code; JSON has no NaN and no Infinity, so neither gets in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.rooms.media_wire import CONSUMER, JPEG, PRODUCER, WEBRTC
from lerobot_arena.rooms.ports import ARENA
from lerobot_arena.rooms.refusals import refuse

ROLES = (PRODUCER, CONSUMER)
MEDIA = (WEBRTC, JPEG)
FRAMES = ("v1", "v3")

MAX_TEXT_BYTES = 65_536
MAX_DEPTH = 8
MAX_PARTICIPANT_ID = 100
MAX_REASON = 500
# Of an object that goes on to everybody else in the room, and waits there.
MAX_OBJECT_BYTES = 4096
_MAX_STAMP = 2**63
_MAX_AGE_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Join:
    """The first frame. `resume` is the token of an earlier `joined`; the last three are of video rooms.

    `stand_ins` false: for programs, which must not take what stands in for a lost picture for one of the camera.
    """

    participant_id: str
    role: str
    media: str = WEBRTC
    resume: str = ""
    frames: str = "v1"
    stand_ins: bool = True


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Wants a `heartbeat_ack`."""


@dataclass(frozen=True, slots=True)
class EmergencyStop:
    """Of anybody in the room."""

    reason: str


@dataclass(frozen=True, slots=True)
class JointsSaid:
    """A `joint_update`; `data` is checked against the room's joints by rooms/joint_payload.py."""

    data: Any
    seq: int | None = None
    stamp_mono_ns: int | None = None
    age_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ConfigSaid:
    """A `video_config_update`; `config` is checked by rooms/video_config.py."""

    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A message of a video room that goes to everybody else as it is, with its known fields."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Noted:
    """A type that the protocol declares and that means nothing in this room."""

    kind: str


Said = Heartbeat | EmergencyStop | JointsSaid | ConfigSaid | Told | Noted


def bad(code: str, message: str) -> ArenaError:
    """A refusal of a message."""
    return refuse(InvalidInput, code, message)


def read_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object of a text frame. Raises InvalidInput: too_large, not_json, too_deep or not_object."""
    if len(text) > MAX_TEXT_BYTES:
        raise bad("too_large", f"A message may have {MAX_TEXT_BYTES} bytes, this one has {len(text)}.")
    try:
        value = orjson.loads(text)
    except ValueError as error:  # orjson.JSONDecodeError; lone surrogates in `text` are UnicodeEncodeError
        raise bad("not_json", f"The message is not JSON: {str(error)[:120]}.") from None
    if not isinstance(value, dict):
        raise bad("not_object", "A message must be a JSON object.")
    if not _is_shallow(value):
        raise bad("too_deep", f"The message is nested more than {MAX_DEPTH} levels deep.")
    return value


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return True
    return False


def read_join(text: str | bytes) -> Join:
    """The handshake. Raises InvalidInput with the code join_invalid."""
    try:
        message = read_object(text)
        name = message.get("participant_id")
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > MAX_PARTICIPANT_ID:
            raise bad("", f"participant_id must be 1 to {MAX_PARTICIPANT_ID} printable characters.")
        if name == ARENA:
            raise bad("", f"The participant id {ARENA!r} is the server's own; choose another.")
        return Join(
            name,
            _choice(message, "role", ROLES, None),
            _choice(message, "media", MEDIA, WEBRTC),
            _text(message, "resume", 100),
            _choice(message, "frames", FRAMES, "v1"),
            message.get("stand_ins") is not False,
        )
    except InvalidInput as error:
        raise bad("join_invalid", f"The first frame must join the room: {error}") from None


def read_robotics(text: str | bytes) -> Said:
    """A message in a robotics room. Raises InvalidInput with a code."""
    return _read(text, _ROBOTICS)


def read_video(text: str | bytes) -> Said:
    """A message in a video room. Raises InvalidInput with a code."""
    return _read(text, _VIDEO)


def _read(text: str | bytes, table: dict[str, Callable[[dict[str, Any]], Said]]) -> Said:
    message = read_object(text)
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in table:
        shown = repr(kind)[:60]
        raise bad("unknown_type", f"Unknown message type: {shown}. This room takes: {', '.join(table)}.")
    return table[kind](message)


def _heartbeat(_message: dict[str, Any]) -> Said:
    return Heartbeat()


def _emergency_stop(message: dict[str, Any]) -> Said:
    # Whatever else is wrong with it, a stop is a stop.
    reason = message.get("reason")
    return EmergencyStop(reason[:MAX_REASON] if isinstance(reason, str) and reason else "Emergency stop")


def _joint_update(message: dict[str, Any]) -> Said:
    if "data" not in message:
        raise bad("field_missing", "A joint_update needs data: a list of {name, value}.")
    return JointsSaid(
        message["data"],
        _whole(message, "seq"),
        _whole(message, "stamp_mono_ns"),
        _number(message, "age_ms", 0.0, _MAX_AGE_MS),
    )


def _video_config_update(message: dict[str, Any]) -> Said:
    return ConfigSaid(_object(message, "config"))


def _told(kind: str, **readers: Callable[[dict[str, Any], str], Any]) -> Callable[[dict[str, Any]], Said]:
    def read(message: dict[str, Any]) -> Said:
        return Told(kind, {name: reader(message, name) for name, reader in readers.items()})

    return read


def _noted(kind: str) -> Callable[[dict[str, Any]], Said]:
    return lambda _message: Noted(kind)


def _choice(message: dict[str, Any], name: str, choices: tuple[str, ...], default: str | None) -> str:
    value = message.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or value not in choices:
        raise bad("field_invalid", f"{name} must be one of {', '.join(choices)}.")
    return value


def _text(message: dict[str, Any], name: str, longest: int = MAX_REASON) -> str:
    value = message.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise bad("field_invalid", f"{name} must be a text of at most {longest} characters.")
    return value


def _object(message: dict[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if not isinstance(value, dict):
        raise bad("field_invalid", f"{name} must be an object.")
    if len(orjson.dumps(value)) > MAX_OBJECT_BYTES:
        raise bad("field_invalid", f"{name} may have {MAX_OBJECT_BYTES} bytes.")
    return value


def _object_or_none(message: dict[str, Any], name: str) -> dict[str, Any] | None:
    return None if message.get(name) is None else _object(message, name)


def _whole(message: dict[str, Any], name: str) -> int | None:
    value = message.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_STAMP:
        raise bad("field_invalid", f"{name} must be a whole number of at least 0 and below 2^63.")
    return value


def _number(message: dict[str, Any], name: str, lowest: float, highest: float) -> float:
    value = message.get(name)
    if value is None:
        return lowest
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise bad("field_invalid", f"{name} must be a number from {lowest:g} to {highest:g}.")
    return float(value)


_COMMON: dict[str, Callable[[dict[str, Any]], Said]] = {
    "heartbeat": _heartbeat,
    "emergency_stop": _emergency_stop,
}
_ROBOTICS = {
    **_COMMON,
    "joint_update": _joint_update,
    "status_update": _noted("status_update"),
    "consumer_status": _noted("consumer_status"),
}
_VIDEO = {
    **_COMMON,
    "video_config_update": _video_config_update,
    "stream_started": _told("stream_started", config=_object_or_none),
    "stream_stopped": _told("stream_stopped", reason=_text),
    "recovery_triggered": _told("recovery_triggered", policy=_text, reason=_text),
    "status_update": _told("status_update", status=_text, data=_object_or_none),
    "stream_stats": _told("stream_stats", stats=_object),
}
