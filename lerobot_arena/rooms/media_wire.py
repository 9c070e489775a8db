# SPDX-License-Identifier: Apache-2.0
"""MediaSignals between the bridge and the media process: how their JSON is read and written (see rooms/ports.py).

Beyond what that says, the media process sends a beat every core.room.BEAT_PERIOD_S: STATE with an empty room topic
and the payload {rooms, peers, ice_servers}. The other side knows by it that the process lives, and by its boot_id that
it is another one.
"""

import json
from collections.abc import Mapping
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.room import BEAT_TIMEOUT_S, STATE, MediaSignal

__all__ = [
    "BEAT_TIMEOUT_S", "CONSUMER", "JPEG", "LARGEST_PAYLOAD", "PRODUCER", "WEBRTC", "is_beat", "payload_of", "signal",
    "text_field",
]  # fmt: skip

PRODUCER, CONSUMER = "producer", "consumer"
WEBRTC, JPEG = "webrtc", "jpeg"
# A browser's offer with every codec and candidate is below 20 kB.
LARGEST_PAYLOAD = 128_000


def payload_of(signal: MediaSignal) -> dict[str, Any]:
    """The payload's object. Raises InvalidInput when it is none, or too large."""
    if len(signal.payload) > LARGEST_PAYLOAD:
        raise InvalidInput(f"A media signal has {len(signal.payload)} bytes; {LARGEST_PAYLOAD} are enough.")
    try:
        value = json.loads(signal.payload)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"A media signal's payload is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidInput("A media signal's payload must be an object.")
    return value


def signal(
    room_topic: str, kind: str, participant: str = "", payload: Mapping[str, Any] | None = None
) -> MediaSignal:
    """One MediaSignal; sequence and boot_id are the sender's to fill in."""
    text = json.dumps(dict(payload or {}), allow_nan=False, separators=(",", ":"))
    return MediaSignal(room_topic, kind, participant, text)


def is_beat(received: MediaSignal) -> bool:
    """It says only that the media process lives."""
    return received.kind == STATE and not received.room_topic


def text_field(payload: Mapping[str, Any], name: str) -> str:
    """A field that must be text. Raises InvalidInput."""
    value = payload.get(name)
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text.")
    return value
