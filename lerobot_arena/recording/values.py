# SPDX-License-Identifier: Apache-2.0
"""Recorded messages as core values, read by the schema in the file: no ROS, and older recordings stay readable."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import NS
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.observation import CameraFrame, JointSample
from lerobot_arena.core.units import RADIANS
from lerobot_arena.recording.records import DamagedFile, Schema

Decoder = Callable[[bytes], Any]


def decoder_of(schema: Schema) -> Decoder:
    """Bytes → an object with the message's fields. Raises DamagedFile for a schema that is not ros2msg."""
    from mcap.records import Schema as McapSchema
    from mcap_ros2.decoder import DecoderFactory

    try:
        found = DecoderFactory().decoder_for(
            "cdr", McapSchema(schema.id, schema.data, schema.encoding, schema.name)
        )
    except Exception as error:  # its parser raises what it likes on a text that is no definition
        raise DamagedFile(f"The definition of {schema.name} cannot be read: {error}.") from error
    if found is None:
        raise DamagedFile(f"{schema.name} is defined in {schema.encoding!r}; only ros2msg is read.")
    return found


def decoded(decode: Decoder, data: bytes, what: str) -> Any:
    """The message. Raises DamagedFile when the bytes are not such a message."""
    try:
        return decode(data)
    except (
        Exception
    ) as error:  # struct.error, UnicodeDecodeError, IndexError, …: whatever foreign bytes lead to
        raise DamagedFile(f"A message of type {what} cannot be read: {error}.") from error


def stamp_ns_of(stamp: Any) -> int:
    """builtin_interfaces/Time as nanoseconds."""
    return int(stamp.sec) * NS + int(stamp.nanosec)


@cache
def _plan(value_type: Hashable) -> tuple[tuple[Field[Any], Callable[[Any], Any]], ...]:
    hints = get_type_hints(value_type)
    return tuple((item, _reader(hints[item.name])) for item in fields(value_type))  # type: ignore[arg-type]


def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) is tuple:
        inner = _reader(get_args(hint)[0])
        return lambda values: tuple(inner(value) for value in values)
    if hasattr(hint, "__dataclass_fields__"):
        return lambda message: value_of(hint, message)
    return hint if isinstance(hint, type) and hint is not NoneType else lambda value: value


def value_of[T](value_type: type[T], message: Any) -> T:
    """The core dataclass that mirrors a message; what an older message lacks has its default.

    Raises DamagedFile when a field without a default is missing or has an impossible value.
    """
    values: dict[str, Any] = {}
    try:
        for item, read in _plan(value_type):  # type: ignore[arg-type]
            if item.name == "stamp_ns":
                values["stamp_ns"] = stamp_ns_of(message.stamp)
            elif hasattr(message, item.name):
                values[item.name] = read(getattr(message, item.name))
            elif item.default is MISSING and item.default_factory is MISSING:
                raise DamagedFile(f"A {value_type.__name__} has no field {item.name}.")
        return value_type(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFile(f"A {value_type.__name__} cannot be read: {error}.") from error


def cycle_of(message: Any) -> CycleRecord:
    """msg/Cycle. Raises DamagedFile."""
    return value_of(CycleRecord, message)


def joints_of(message: Any, log_time: int) -> JointSample:
    """sensor_msgs/JointState in radians; its receipt is when it was recorded. Raises DamagedFile."""
    names, values = tuple(message.name), np.array(message.position, dtype=np.float64)
    if len(names) != len(values):
        raise DamagedFile(f"A joint state has {len(values)} values for {len(names)} names.")
    return JointSample(names, values, RADIANS, stamp_ns_of(message.header.stamp), log_time)


def room_joints_of(message: Any, log_time: int) -> JointSample:
    """msg/RoomJoints; may name a part of the joints. Raises DamagedFile."""
    names, values = tuple(message.names), np.array(message.values, dtype=np.float64)
    if len(names) != len(values):
        raise DamagedFile(f"A joint message has {len(values)} values for {len(names)} names.")
    return JointSample(names, values, str(message.unit), stamp_ns_of(message.stamp), log_time)


def chunk_of(message: Any) -> ActionChunk:
    """msg/ActionChunk. Raises DamagedFile."""
    names, values = tuple(message.joint_names), np.array(message.actions, dtype=np.float64)
    if not names or values.size == 0 or values.size % len(names):
        raise DamagedFile(f"An action chunk has {values.size} values for {len(names)} joints.")
    return ActionChunk(
        actions=values.reshape(-1, len(names)),
        joint_names=names,
        unit=message.unit,
        dt_s=message.dt_s,
        session_id=message.session_id,
        epoch=message.epoch,
        request_sequence=message.request_sequence,
        sequence=message.sequence,
        observation_stamp_ns=stamp_ns_of(message.observation_stamp),
        observation_age_s=message.observation_age_s,
        execute_steps=message.execute_steps,
        skew_s=message.skew_s,
        scores=tuple(value_of(Score, score) for score in getattr(message, "scores", ())),
        stage_ms={stage.name: stage.p50_ms for stage in message.stages},
    )


def frame_of(message: Any, camera: str, log_time: int) -> CameraFrame:
    """sensor_msgs/Image or CompressedImage as rgb; received when it was recorded. Raises DamagedFile."""
    pixels = _compressed(message) if hasattr(message, "format") else _raw(message)
    return CameraFrame(camera, pixels, stamp_ns_of(message.header.stamp), log_time)


def _compressed(message: Any) -> Any:
    import cv2

    data = np.frombuffer(message.data, dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise DamagedFile(f"A picture of {data.size} bytes ({message.format!r}) does not decode.")
    return pixels[:, :, ::-1]


def _raw(message: Any) -> Any:
    channels = {"rgb8": 3, "bgr8": 3, "mono8": 1}.get(message.encoding)
    height, width, step = int(message.height), int(message.width), int(message.step)
    if channels is None:
        raise DamagedFile(
            f"Pictures of encoding {message.encoding!r} are not read; rgb8, bgr8 and mono8 are."
        )
    if height == 0 or width == 0 or step < width * channels or len(message.data) < height * step:
        raise DamagedFile(f"A {width}×{height} {message.encoding} picture has {len(message.data)} bytes.")
    rows = np.frombuffer(message.data, dtype=np.uint8, count=height * step).reshape(height, step)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, ::-1] if message.encoding == "bgr8" else pixels


def plain(message: Any) -> Any:
    """A decoded message as what JSON can say: mappings, lists, numbers, text; bytes as their count."""
    if isinstance(message, Mapping):
        return {key: plain(value) for key, value in message.items()}
    if isinstance(message, bytes | bytearray | memoryview):
        return {"bytes": len(message)}
    if isinstance(message, str | bool | int | float) or message is None:
        return message
    if isinstance(message, list | tuple | np.ndarray):
        return [plain(value) for value in message]
    names = getattr(type(message), "__slots__", None) or vars(message)
    return {name: plain(getattr(message, name)) for name in names}
