# SPDX-License-Identifier: Apache-2.0
"""What a room carries over ROS: joint values of clients, and the signalling of its video. Mirrors of msg/."""

from dataclasses import dataclass

ROBOTICS, VIDEO = "robotics", "video"
ROOM_KINDS = (ROBOTICS, VIDEO)

GUARD_SOURCE = "guard"
API_SOURCE = "api"

# MediaSignal.kind, bridge → media
OPEN, CLOSE, WANT, DROP = "open", "close", "want", "drop"
# both ways
OFFER, ANSWER, ICE = "offer", "answer", "ice"
# media → bridge
STATE, ERROR = "state", "error"

# The media process says this often that it lives: a STATE with an empty room topic.
BEAT_PERIOD_S = 1.0
BEAT_TIMEOUT_S = 3.5


@dataclass(frozen=True, slots=True)
class RoomJoints:
    """Joint values in the room's unit (msg/RoomJoints); may name a part of the joints."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    unit: str = ""
    sequence: int = 0
    stamp_ns: int = 0
    source: str = ""
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MediaSignal:
    """One step of a video room's signalling (msg/MediaSignal); `payload` is JSON."""

    room_topic: str
    kind: str
    participant: str = ""
    payload: str = "{}"
    sequence: int = 0
    boot_id: str = ""
