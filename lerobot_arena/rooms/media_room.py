# SPDX-License-Identifier: Apache-2.0
"""One video room in the media process: whose pictures come in, who watches, and what ROS has to do with it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotFound
from lerobot_arena.core.room import ANSWER, ERROR, ICE, OFFER, STATE
from lerobot_arena.rooms.media_rules import (
    OfferFacts,
    OfferRole,
    is_arena_wanted,
    is_shown_by_server,
    role_of_offer,
)
from lerobot_arena.rooms.media_shape import PictureTopics, RoomShape
from lerobot_arena.rooms.media_stage import Stage
from lerobot_arena.rooms.media_wire import CONSUMER, PRODUCER, WEBRTC, text_field
from lerobot_arena.rooms.ports import ARENA
from lerobot_arena.rooms.recovery import Loss
from lerobot_arena.rooms.refusals import refuse
from lerobot_arena.rooms.video_config import VideoConfig
from lerobot_arena.rooms.webrtc_peer import Peer, PeerSettings, PictureSink, check_sdp

Say = Callable[[str, str, dict[str, Any]], None]
# How often a producer that does not offer is asked again, and a watcher that was lost offered anew.
_ASK_AGAIN_S = (2.0, 4.0, 8.0, 15.0)
_SHOW_AGAIN_S = (0.0, 2.0, 4.0, 8.0, 15.0)
_STATS_S = 5.0
_UNWANTED_S = 10.0


@dataclass(slots=True)
class _Member:
    role: str
    is_webrtc: bool
    tries: int = 0
    due_s: float = 0.0


@dataclass(slots=True)
class _Leg:
    """A connection with a producer, in the name of `target`."""

    peer: Peer
    producer: str
    target: str


class MediaRoom:
    """Signals in by its methods, out by `say(kind, participant, payload)`. One event loop; calls are serialised."""

    def __init__(
        self,
        topic: str,
        shape: RoomShape,
        *,
        settings: PeerSettings,
        topics: PictureTopics,
        say: Say,
        check_room: Callable[[int], None] = lambda peers: None,
    ) -> None:
        self.topic, self._shape = topic, shape
        self._settings, self._topics, self._say, self._check_room = settings, topics, say, check_room
        self._members: dict[str, _Member] = {}
        self._legs: dict[tuple[str, str], _Leg] = {}
        self._carrier: _Leg | None = None
        self._watchers: dict[str, Peer] = {}
        self._passed: set[tuple[str, str]] = set()
        self._stage = Stage(shape.config, shape.recovery, self._on_loss)
        self._sink = PictureSink(
            publish=lambda picture, stamp_ns: topics.publish(topic, picture, stamp_ns),
            show=self._stage.put,
            max_age_s=shape.max_age_s,
        )
        self._unfollow: Callable[[], None] | None = None
        self._asked, self._ask_due_s, self._wanted_s = 0, 0.0, 0.0
        self._stats_due_s, self._stats_began_s = 0.0, 0.0
        self._ending: set[asyncio.Task[None]] = set()
        self.lock = asyncio.Lock()

    @property
    def peers(self) -> int:
        """Open connections."""
        return len(self._legs) + len(self._watchers)

    @property
    def config(self) -> VideoConfig:
        return self._shape.config

    async def configure(self, shape: RoomShape) -> None:
        """OPEN came again."""
        before, self._shape = self._shape, shape
        self._stage.configure(shape.config, shape.recovery)
        self._sink.max_age_s = shape.max_age_s
        if shape.image_topic != before.image_topic:
            self._stop_following()
        if shape.config.encoding != before.config.encoding or shape.config.relay != before.config.relay:
            # Another codec is another negotiation; `look` offers anew.
            for consumer in list(self._watchers):
                await self._close_watcher(consumer)
        for peer in self._watchers.values():
            peer.configure(shape.config)

    async def join(self, participant: str, role: str, media: str) -> None:
        """WANT: somebody joined, or began to send."""
        self._members[participant] = _Member(role, media == WEBRTC)
        if role == PRODUCER and media == WEBRTC:
            self._topics.advertise(self.topic, True)
            self._asked, self._ask_due_s = 0, 0.0
        await self.look()

    async def leave(self, participant: str) -> None:
        """DROP: close what was with them."""
        self._members.pop(participant, None)
        await self._close_watcher(participant)
        for key in [key for key in self._legs if participant in key]:
            await self._close_leg(key)
        self._passed = {pair for pair in self._passed if participant not in pair}
        if not any(member.role == PRODUCER and member.is_webrtc for member in self._members.values()):
            self._topics.advertise(self.topic, False)

    async def close(self) -> None:
        """CLOSE: the room has gone."""
        for participant in list(self._members):
            await self.leave(participant)
        self._stop_following()
        self._stage.run(False)
        self._topics.advertise(self.topic, False)

    # Signals

    async def offer(self, sender: str, payload: dict[str, Any]) -> None:
        """The producer's offer to a consumer, or to the arena. Raises InvalidInput, Conflict."""
        sdp, target = text_field(payload, "sdp"), text_field(payload, "target_consumer")
        member = self._members.get(sender)
        if self._shape.is_ros_only or member is None or member.role != PRODUCER:
            raise refuse(Conflict, "not_producer", "Only the producer of this room offers pictures.")
        role, reason = self._role_of(sdp, sender, target)
        if role is OfferRole.REFUSE:
            raise InvalidInput(reason)
        if role is OfferRole.PASS_ON:
            receiver = self._members.get(target)
            if receiver is None or not receiver.is_webrtc:
                raise refuse(InvalidInput, "not_webrtc", f"Participant {target!r} takes no WebRTC.")
            self._passed.add((sender, target))
            self._say(OFFER, target, {"offer": {"type": "offer", "sdp": sdp}, "from_producer": sender})
            return
        await self._close_leg((sender, target))
        self._check_room(self.peers)
        peer = Peer(self._settings, self._on_leg_end)
        sink = self._sink if role is OfferRole.TAKE else None
        answer = await peer.answer(sdp, self.config, sink)
        if role is OfferRole.EMPTY:
            await peer.close()
        else:
            leg = self._legs[sender, target] = _Leg(peer, sender, target)
            if peer.is_taking:
                self._carrier = leg
                self._stats_began_s = self._wanted_s = time.monotonic()
        self._say(ANSWER, sender, {"answer": {"type": "answer", "sdp": answer}, "from_consumer": target})
        await self.look()

    def _role_of(self, sdp: str, sender: str, target: str) -> tuple[OfferRole, str]:
        reason = ""
        try:
            check_sdp(sdp)
        except InvalidInput as error:
            reason = str(error)
        carrier = self._carrier
        has_other = carrier is not None and (carrier.producer, carrier.target) != (sender, target)
        facts = OfferFacts(
            self.config,
            for_arena=target == ARENA,
            is_readable=not reason,
            has_video="m=video" in sdp,
            has_carrier=has_other,
        )
        unsent = "This room's encoding is jpeg: join with `media: jpeg` and send binary frames."
        return role_of_offer(facts), reason or unsent

    async def answer(self, sender: str, payload: dict[str, Any]) -> None:
        """A consumer's answer. Raises InvalidInput, NotFound."""
        sdp, target = text_field(payload, "sdp"), text_field(payload, "target_producer")
        if (target, sender) in self._passed:
            self._say(ANSWER, target, {"answer": {"type": "answer", "sdp": sdp}, "from_consumer": sender})
            return
        check_sdp(sdp)
        peer = self._watchers.get(sender)
        if peer is None:
            raise NotFound("There is no open offer to you that this answers.")
        await peer.take_answer(sdp)

    async def ice(self, sender: str, payload: dict[str, Any]) -> None:
        """A candidate of a producer or a consumer. Raises InvalidInput."""
        candidate = payload.get("candidate")
        if not isinstance(candidate, dict):
            raise InvalidInput("candidate must be an object, as RTCIceCandidate.toJSON() makes it.")
        consumer, producer = payload.get("target_consumer"), payload.get("target_producer")
        if isinstance(consumer, str) and (sender, consumer) in self._passed:
            origin = {"from_producer": sender, "from_consumer": None}
            self._say(ICE, consumer, {"candidate": candidate, **origin})
        elif isinstance(producer, str) and (producer, sender) in self._passed:
            origin = {"from_producer": None, "from_consumer": sender}
            self._say(ICE, producer, {"candidate": candidate, **origin})
        elif isinstance(consumer, str):
            leg = self._legs.get((sender, consumer))
            if leg is not None:
                await leg.peer.take_candidate(candidate)
        elif (watcher := self._watchers.get(sender)) is not None:
            await watcher.take_candidate(candidate)

    # What goes on

    async def look(self) -> None:
        """See who came and went on either side; called twice a second and after each signal."""
        now = time.monotonic()
        carrier = self._carrier
        has_ros_source = carrier is None and self._topics.publishers(self._shape.image_topic) > 0
        for consumer, member in list(self._members.items()):
            if member.role == CONSUMER and member.is_webrtc and consumer not in self._watchers:
                passed = any(pair[1] == consumer for pair in self._passed)
                if member.due_s <= now and is_shown_by_server(
                    self.config,
                    has_carrier=carrier is not None,
                    has_ros_source=has_ros_source,
                    is_passed=passed,
                ):
                    await self._show_to(consumer, member)
        self._stage.run(bool(self._watchers))
        self._follow(bool(self._watchers) and has_ros_source)
        await self._see_demand(now)
        self._tell_stats(now)

    def _follow(self, is_wanted: bool) -> None:
        if is_wanted and self._unfollow is None:
            self._unfollow = self._topics.follow(self._shape.image_topic, self._stage.put)
        elif not is_wanted:
            self._stop_following()

    def _stop_following(self) -> None:
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None

    async def _see_demand(self, now: float) -> None:
        """Ask the producer for pictures while somebody wants them, and let it rest when long nobody does."""
        subscribers = self._topics.subscribers(self.topic)
        if is_arena_wanted(self.config, subscribers=subscribers, watchers=len(self._watchers)):
            self._wanted_s = now
            self._ask_producer(now)
        elif (
            self._carrier is not None and self._carrier.target == ARENA and now - self._wanted_s > _UNWANTED_S
        ):
            producer = self._carrier.producer
            await self._close_leg((producer, ARENA))
            left = {"type": "participant_left", "participant_id": ARENA, "role": CONSUMER}
            self._say(STATE, producer, left)

    def _ask_producer(self, now: float) -> None:
        producer = next((n for n, m in self._members.items() if m.role == PRODUCER and m.is_webrtc), None)
        if producer is not None and self._carrier is None and now >= self._ask_due_s:
            self._ask_due_s = now + _ASK_AGAIN_S[min(self._asked, len(_ASK_AGAIN_S) - 1)]
            self._asked += 1
            joined = {"type": "participant_joined", "participant_id": ARENA, "role": CONSUMER}
            self._say(STATE, producer, joined)

    async def _show_to(self, consumer: str, member: _Member) -> None:
        member.tries += 1
        member.due_s = time.monotonic() + _SHOW_AGAIN_S[min(member.tries, len(_SHOW_AGAIN_S) - 1)]
        try:
            self._check_room(self.peers)
            peer = self._watchers[consumer] = Peer(self._settings, self._on_watcher_end)
            sdp = await peer.offer(self._stage)
        except ArenaError as error:
            await self._close_watcher(consumer)
            self._say(ERROR, consumer, {"code": error.code, "message": str(error)})
            return
        name = self._carrier.producer if self._carrier is not None else ARENA
        self._say(OFFER, consumer, {"offer": {"type": "offer", "sdp": sdp}, "from_producer": name})

    def _on_loss(self, loss: Loss) -> None:
        reason = f"no picture for {loss.lost_s:.2f} s"
        self._say(STATE, "", {"type": "recovery_triggered", "policy": loss.policy, "reason": reason})

    def _tell_stats(self, now: float) -> None:
        if self._carrier is None or now < self._stats_due_s:
            return
        self._stats_due_s = now + _STATS_S
        lasted_s = max(now - self._stats_began_s, 1e-3)
        count = self._carrier.peer.pictures
        stats = {
            "stream_id": self._carrier.producer,
            "duration_seconds": round(lasted_s, 3),
            "frame_count": count,
            "stale_count": self._carrier.peer.stale,
            "total_bytes": self._carrier.peer.received_bytes,
            "average_fps": round(count / lasted_s, 2),
            "average_bitrate": round(self._carrier.peer.received_bytes * 8 / lasted_s),
        }
        self._say(STATE, "", {"type": "stream_stats", "stats": stats})

    # Ends

    def _on_leg_end(self, peer: Peer) -> None:
        self._soon(self._end_leg(peer))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_leg(self, peer: Peer) -> None:
        async with self.lock:
            for key, leg in list(self._legs.items()):
                if leg.peer is peer:
                    await self._close_leg(key)
                    self._tell_end(leg.producer, peer)
            await self.look()

    def _on_watcher_end(self, peer: Peer) -> None:
        self._soon(self._end_watcher(peer))

    async def _end_watcher(self, peer: Peer) -> None:
        async with self.lock:
            for consumer, watcher in list(self._watchers.items()):
                if watcher is peer:
                    await self._close_watcher(consumer)
                    self._tell_end(consumer, peer)

    def _tell_end(self, participant: str, peer: Peer) -> None:
        if participant in self._members and peer.fault:
            self._say(ERROR, participant, {"code": "media_failed", "message": peer.fault})

    async def _close_leg(self, key: tuple[str, str]) -> None:
        leg = self._legs.pop(key, None)
        if leg is None:
            return
        if leg is self._carrier:
            self._carrier, self._asked, self._ask_due_s = None, 0, 0.0
        await leg.peer.close()

    async def _close_watcher(self, consumer: str) -> None:
        peer = self._watchers.pop(consumer, None)
        if peer is not None:
            await peer.close()
