# SPDX-License-Identifier: Apache-2.0
"""WebRTC signalling of video rooms: between clients, or by way of the media process while it lives.

Who sends is checked: a client id must be in the room, and belong to whoever asks.
"""

import logging
from typing import Any

import orjson

from lerobot_arena.core import topics
from lerobot_arena.core.clock import Clock, seconds_between
from lerobot_arena.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.room import ANSWER, CLOSE, DROP, ERROR, ICE, OFFER, OPEN, STATE, WANT, MediaSignal
from lerobot_arena.rooms import messages
from lerobot_arena.rooms.media_wire import (
    BEAT_TIMEOUT_S,
    CONSUMER,
    JPEG,
    LARGEST_PAYLOAD,
    PRODUCER,
    is_beat,
    payload_of,
    signal,
)
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.ports import ARENA, STATE_TYPES, MediaLink
from lerobot_arena.rooms.refusals import refuse
from lerobot_arena.rooms.room import Room
from lerobot_arena.rooms.video import VideoRoom
from lerobot_arena.rooms.video_config import P2P_RELAY
from lerobot_arena.rooms.wire import Told

_log = logging.getLogger(__name__)

# What sender and target of each kind must be.
_ROLES: dict[str, tuple[str, str | None]] = {OFFER: (PRODUCER, CONSUMER), ANSWER: (CONSUMER, PRODUCER)}
_LARGEST_CANDIDATE = 5000
_FIELDS = {
    OFFER: ("webrtc_offer", "offer", "from_producer"),
    ANSWER: ("webrtc_answer", "answer", "from_consumer"),
}


class RoomMedia:
    """Lives on the event loop. `follow` a room's members; `post` what a client signals."""

    def __init__(self, link: MediaLink, clock: Clock) -> None:
        self._link, self._clock = link, clock
        self._open: dict[str, VideoRoom] = {}
        self._streaming: set[tuple[str, str]] = set()
        self._boot_id = ""
        self._heard_ns = 0
        self.ice_servers: list[dict[str, Any]] = []
        link.listen(self.on_signal)

    @property
    def is_there(self) -> bool:
        """The media process lives."""
        return self._link.is_there

    # Towards the media process

    def prepare(self, room: VideoRoom) -> None:
        """Connect a new room."""
        room.ice_servers = self.ice_servers
        room.on_config = lambda: self._tell_open(room) if _topic(room) in self._open else None

    def joined(self, room: Room, member: Member, *, is_resumed: bool) -> None:
        """Somebody came into a room, or back on another connection: then with new peers."""
        if not isinstance(room, VideoRoom):
            return
        if is_resumed:
            self._link.send(signal(_topic(room), DROP, member.participant_id))
        if _topic(room) not in self._open:
            self._open[_topic(room)] = room
            self._tell_open(room)
        self._tell_want(room, member)

    def left(self, room: Room, member: Member) -> None:
        """Somebody left; the last one closes the room over there."""
        topic = _topic(room)
        if topic not in self._open:
            return
        self._streaming.discard((topic, member.participant_id))
        self._link.send(signal(topic, DROP, member.participant_id))
        if not room.members:
            self._close(topic)

    def gone(self, room: Room) -> None:
        """The room was deleted."""
        if _topic(room) in self._open:
            self._close(_topic(room))

    def _close(self, topic: str) -> None:
        room = self._open.pop(topic)
        room.arena_roles.clear()
        self._streaming = {key for key in self._streaming if key[0] != topic}
        self._link.send(signal(topic, CLOSE))

    def note_told(self, room: VideoRoom, member: Member, said: Told) -> None:
        """A producer began or ended its stream."""
        key = _topic(room), member.participant_id
        if said.kind == "stream_started" and member.is_producer:
            self._streaming.add(key)
            self._tell_want(room, member)
        elif said.kind == "stream_stopped":
            self._streaming.discard(key)

    def _tell_open(self, room: VideoRoom) -> None:
        tie = room.tie
        own = _topic(room)
        self._link.send(
            signal(
                own,
                OPEN,
                payload={
                    "config": room.config.to_json(),
                    "recovery_config": room.recovery.to_json(),
                    "relay": room.config.relay,
                    "image_topic": (tie.image_topic if tie is not None else "") or own,
                    "is_ros_only": room.is_ros_only,
                    "max_age_s": room.settings.max_age_s,
                },
            )
        )

    def _tell_want(self, room: VideoRoom, member: Member) -> None:
        topic = _topic(room)
        payload = {
            "role": member.role,
            "media": member.join.media,
            "streaming": (topic, member.participant_id) in self._streaming,
        }
        self._link.send(signal(topic, WANT, member.participant_id, payload))

    def _say_all_again(self) -> None:
        for room in list(self._open.values()):
            room.arena_roles.clear()
            self._tell_open(room)
            for member in list(room.members.values()):
                self._tell_want(room, member)

    # What a client posts

    def post(self, room: VideoRoom, client_id: str, message: dict[str, Any], caller: Principal) -> str:
        """Hand an offer, answer or candidate on; returns what was done with it.

        Raises NotFound, Forbidden, Conflict, InvalidInput or Unavailable with a code.
        """
        sender = room.members.get(client_id)
        if sender is None:
            raise refuse(NotFound, "no_such_participant", f"Participant {client_id!r} is not in this room.")
        if sender.identity != caller.name:
            raise refuse(Forbidden, "not_yours", f"Participant {client_id!r} joined as somebody else.")
        kind = message["type"]
        target = _target(room, sender, message)
        message = _checked(kind, message)
        room.touch()
        receiver = room.members.get(target)
        if receiver is None and target != ARENA:
            raise refuse(NotFound, "no_such_participant", f"Participant {target!r} is not in this room.")
        _check_roles(kind, sender, receiver)
        if self.is_there and (target == ARENA or room.config.relay != P2P_RELAY):
            self._link.send(signal(_topic(room), kind, client_id, message))
            return "Signal handed to the server"
        if receiver is None:
            raise refuse(
                Unavailable,
                "media_unavailable",
                "The media process does not run, so the server takes no part.",
            )
        if receiver.join.media == JPEG:
            raise refuse(InvalidInput, "not_webrtc", f"Participant {target!r} joined with `media: jpeg`.")
        receiver.mailbox.put_event(_between(kind, sender, message))
        return f"Signal sent to {target}"

    # From the media process

    def on_signal(self, received: MediaSignal) -> None:
        """A beat, or something for clients."""
        try:
            payload = payload_of(received)
        except InvalidInput as error:
            _log.warning("The media process said something unreadable: %s", error)
            return
        now_ns = self._clock.steady_ns()
        was_silent = seconds_between(self._heard_ns, now_ns) > BEAT_TIMEOUT_S
        self._heard_ns = now_ns
        if was_silent or received.boot_id != self._boot_id:
            self._boot_id = received.boot_id
            self._say_all_again()
        if is_beat(received):
            self.ice_servers[:] = payload.get("ice_servers") or []
            return
        room = self._open.get(received.room_topic)
        if room is not None:
            self._hand_on(room, received, payload)

    def _hand_on(self, room: VideoRoom, received: MediaSignal, payload: dict[str, Any]) -> None:
        kind, to = received.kind, received.participant
        if kind in _FIELDS:
            name, *fields = _FIELDS[kind]
            text = messages.say(name, **{field: payload.get(field) for field in fields})
        elif kind == ICE:
            text = messages.say(
                "webrtc_ice",
                **{field: payload.get(field) for field in ("candidate", "from_producer", "from_consumer")},
            )
        elif kind == ERROR:
            text = messages.error(str(payload.get("code", "media")), str(payload.get("message", "")))
        elif kind == STATE and payload.get("type") in STATE_TYPES:
            _note_arena(room, payload)
            _note_stats(room, payload)
            text = messages.say(str(payload.pop("type")), **payload)
        else:
            return
        if not to:
            room.tell(text)
        elif (member := room.members.get(to)) is not None:
            member.mailbox.put_event(text)


def _topic(room: Room) -> str:
    return topics.room(room.place.workspace_id, room.place.room_id)


def _target(room: VideoRoom, sender: Member, message: dict[str, Any]) -> str:
    named = message.get("target_consumer") or message.get("target_producer")
    if named:
        return str(named)
    # Python consumers of the original name no target of their candidates.
    producer = room.producer
    if not sender.is_producer:
        return producer.participant_id if producer is not None else ARENA
    raise refuse(InvalidInput, "target_missing", "Name the participant it is for in target_consumer.")


def _checked(kind: str, message: dict[str, Any]) -> dict[str, Any]:
    """The message as JSON that every reader takes: no NaN, no broken text, no number beyond 64 bits."""
    if kind in _FIELDS and not message.get("sdp"):
        raise refuse(InvalidInput, "sdp_missing", f"An {kind} needs sdp.")
    code = "candidate_invalid" if kind == ICE else "field_invalid"
    largest = _LARGEST_CANDIDATE if kind == ICE else LARGEST_PAYLOAD
    try:
        text = orjson.dumps(message)
    except TypeError as error:  # orjson's only kind
        raise refuse(InvalidInput, code, f"The signal cannot be sent as JSON: {error}.") from None
    if len(text) > largest:
        raise refuse(InvalidInput, code, f"A signal of this kind has at most {largest} bytes.")
    checked: dict[str, Any] = orjson.loads(text)
    return checked


def _check_roles(kind: str, sender: Member, receiver: Member | None) -> None:
    """A producer offers to consumers, and consumers answer."""
    said_by, meant_for = _ROLES.get(kind, (sender.role, None))
    if sender.role != said_by:
        raise refuse(Conflict, f"not_{said_by}", f"Only a {said_by} of this room sends an {kind}.")
    if receiver is not None and meant_for is not None and receiver.role != meant_for:
        raise refuse(
            NotFound,
            "no_such_participant",
            f"Participant {receiver.participant_id!r} is no {meant_for} of this room.",
        )


def _between(kind: str, sender: Member, message: dict[str, Any]) -> str:
    if kind == ICE:
        return messages.say(
            "webrtc_ice",
            candidate=message.get("candidate"),
            from_producer=sender.participant_id if sender.is_producer else None,
            from_consumer=None if sender.is_producer else sender.participant_id,
        )
    name, content, source = _FIELDS[kind]
    return messages.say(
        name, **{content: {"type": kind, "sdp": message["sdp"]}, source: sender.participant_id}
    )


def _note_stats(room: VideoRoom, payload: dict[str, Any]) -> None:
    """What came by WebRTC is counted in the media process."""
    stats = payload.get("stats")
    if payload["type"] == "stream_stats" and isinstance(stats, dict) and stats.get("frame_count", 0) > 0:
        room.frame_count = int(stats["frame_count"])
        room.last_frame_ns, room.last_frame_wall_ns = room.clock.steady_ns(), room.clock.wall_ns()


def _note_arena(room: VideoRoom, payload: dict[str, Any]) -> None:
    if payload.get("participant_id") != ARENA:
        return
    role = str(payload.get("role", CONSUMER))
    if payload["type"] == "participant_joined":
        room.arena_roles.add(role)
    elif payload["type"] == "participant_left":
        room.arena_roles.discard(role)
