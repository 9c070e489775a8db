# SPDX-License-Identifier: Apache-2.0
"""What the bridge and the media process say to each other in MediaSignals about video rooms with WebRTC.

Bridge → media, on topics.MEDIA_REQUESTS (`participant` and JSON payload):

====== =========== ======================================================================================
open   —           {workspace, room, config, recovery_config, topic}: a room with WebRTC participants; said
                   again when any of it changes. `topic` is what the room shows when no client sends
                   (a ROS camera, or the room's own topic); default: the room's own topic
close  —           the room has gone
want   who joined  {role, streaming}: joined without `"media":"jpeg"`; said again with streaming=true after
                   its stream_started
drop   who left    its peers are closed
offer  sender      {sdp, target}        webrtc/signal of a client; `target` is its target_consumer
answer sender      {sdp, target}        … target_producer
ice    sender      {candidate, target}  … either
====== =========== ======================================================================================

Media → bridge, on topics.MEDIA_EVENTS: every payload with a `type` is a message of the room's WebSocket, to be
forwarded to `participant`, or to everybody in the room when that is empty. The only one without is a beat, once a
second, with an empty room topic: {rooms, peers, ice_servers}. When its boot_id changes, or beats begin after they had
been missing for BEAT_TIMEOUT_S, the bridge says every open and want again. Without beats the bridge passes offers,
answers and candidates on between the clients itself.
"""

import json
from collections.abc import Mapping
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.room import MediaSignal

ARENA = "arena"
PRODUCER, CONSUMER = "producer", "consumer"
BEAT_PERIOD_S = 1.0
BEAT_TIMEOUT_S = 3.5
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


def text_field(payload: Mapping[str, Any], name: str) -> str:
    """A field that must be text. Raises InvalidInput."""
    value = payload.get(name)
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text.")
    return value
