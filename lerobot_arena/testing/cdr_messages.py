# SPDX-License-Identifier: Apache-2.0
"""Serialised messages without ROS, from the definitions that recordings carry."""

from functools import cache
from typing import Any

from lerobot_arena.recording.schemas import definition_of

_RULE = "=" * 80 + "\nMSG: "
CYCLE = "lerobot_arena/msg/Cycle"
JOINTS = "sensor_msgs/msg/JointState"
IMAGE = "sensor_msgs/msg/Image"


@cache
def _store() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


@cache
def _known(type_name: str) -> Any:
    from rosbags.typesys import get_types_from_msg

    store = _store()
    own, *others = definition_of(type_name).text.split(_RULE)
    found = get_types_from_msg(own, type_name)
    for other in others:
        name, _, text = other.partition("\n")
        found |= get_types_from_msg(text, name.replace("/", "/msg/") if name.count("/") == 1 else name)
    store.register({name: fields for name, fields in found.items() if name not in store.types})
    return store


def type_hash(type_name: str) -> str:
    """The RIHS01 hash as another implementation computes it."""
    return str(_known(type_name).hash_rihs01(type_name))


def message(type_name: str, **values: Any) -> bytes:
    """A serialised message; what is not given is empty or 0. Nested messages are given as mappings."""
    store = _known(type_name)
    return bytes(store.serialize_cdr(_made(store, type_name, values), type_name))


def _made(store: Any, type_name: str, values: dict[str, Any]) -> Any:
    _, fields = store.fielddefs[type_name]
    return store.types[type_name](**{name: _value(store, kind, values.get(name)) for name, kind in fields})


def _value(store: Any, kind: Any, value: Any) -> Any:
    import numpy as np
    from rosbags.interfaces import Nodetype

    node, of = kind
    if node == Nodetype.BASE:
        return value if value is not None else {"string": "", "bool": False}.get(of[0], 0)
    if node == Nodetype.NAME:
        return _made(store, of, value or {})
    inner, length = of
    items = value if value is not None else [None] * (length if node == Nodetype.ARRAY else 0)
    if inner[0] == Nodetype.BASE and inner[1][0] not in {"string", "bool"}:
        return np.array([item or 0 for item in items], dtype=_dtype(inner[1][0]))
    return [_value(store, inner, item) for item in items]


def _dtype(name: str) -> str:
    return {"octet": "uint8", "byte": "uint8", "char": "uint8"}.get(name, name)


def cycle(cycle_id: int, *, decision: int = 0, stamp_ns: int = 0, steady_ns: int = 0) -> bytes:
    """A serialised msg/Cycle of six joints."""
    six = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    return message(
        CYCLE,
        decision=decision,
        cycle_id=cycle_id,
        steady_ns=steady_ns,
        stamp={"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9},
        measured=six,
        proposed=six,
        executed=six,
    )


def image(
    width: int = 32, height: int = 24, *, encoding: str = "rgb8", stamp_ns: int = 0, grey: int = 128
) -> bytes:
    """A serialised sensor_msgs/Image of one grey."""
    channels = {"rgb8": 3, "bgr8": 3, "mono8": 1, "16UC1": 2}[encoding]
    return message(
        IMAGE,
        header={"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": "front"},
        height=height,
        width=width,
        encoding=encoding,
        step=width * channels,
        data=[grey] * (width * height * channels),
    )
