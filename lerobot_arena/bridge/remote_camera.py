# SPDX-License-Identifier: Apache-2.0
"""A camera that comes from another arena: JPEG from our own bridges, WebRTC from original transport servers."""

import asyncio
import logging
from typing import Any

from lerobot_arena.bridge.remote_room import RemoteRoom
from lerobot_arena.client import wire
from lerobot_arena.client.arena import AsyncArena
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.room_link import Place, RoomLink
from lerobot_arena.core.delay import DelayEstimator
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.principal import LOCAL
from lerobot_arena.core.room import VIDEO
from lerobot_arena.rooms.media_wire import CONSUMER, JPEG, PRODUCER, WEBRTC
from lerobot_arena.rooms.ports import ARENA
from lerobot_arena.rooms.video import VideoRoom

_log = logging.getLogger(__name__)

_MOST_WAITING = 256
# What stands in for a lost picture must never reach a policy. Servers without JPEG take no notice of any of it.
_JOIN = {"media": JPEG, "frames": "v3", "stand_ins": False}

Offers = asyncio.Queue[dict[str, Any]]


class RemoteCamera(RemoteRoom):
    """What is said there after `joined` tells which of the two it is; an offer on one of our own bridges is nothing."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._delay = DelayEstimator()
        self._producer = ""
        self._arena: AsyncArena | None = None

    async def _join(self, arena: AsyncArena, connection: Connection) -> None:
        place = Place.checked(VIDEO, self._place.workspace_id, self._place.room_id, CONSUMER, self._name)
        offers: Offers = asyncio.Queue(maxsize=_MOST_WAITING)
        link = RoomLink(
            connection,
            place,
            on_message=lambda message, _: self._hear(offers, message),
            on_bytes=self._show,
            on_change=self._on_change,
            more=_JOIN,
        )
        self._arena = arena
        self._delay.reset()
        try:
            await link.open()
            self._link = link
            is_original = not link.joined.keys() & {"resume", "max_age_ms"}
            seat = self._seat(PRODUCER, WEBRTC if is_original else JPEG)
            async with seat as self._here:
                self._compare_latches()
                works = [self._offer_here(offers)] if is_original else []
                await self._while_linked(link, self._pass_on(seat, link), *works)
        finally:
            self._here = self._link = self._arena = None
            await link.close()

    def _hear(self, offers: Offers, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "emergency_stop":
            self._on_estop(str(message.get("reason")), str(message.get("source")))
        elif kind == "participant_joined" and message.get("role") == PRODUCER:
            # Another camera's clock.
            self._delay.reset()
        elif kind in {"webrtc_offer", "webrtc_ice"} and not offers.full():
            offers.put_nowait(message)

    # JPEG

    def _show(self, data: bytes, received_ns: int) -> None:
        if self._here is None or self._link is None:
            return
        room, member = self._here
        frame, link = wire.read_frame(data), self._link
        late_s = self._delay.delay_s(frame.stamp_mono_ns, received_ns) if frame.stamp_mono_ns else 0.0
        age_s = max(frame.age_s or 0.0, late_s, link.overdue_s) + link.way_s
        # Without the stamp: what it tells is in the age, and the room here would count it once more.
        packed = wire.pack_frame(frame.jpeg, seq=frame.seq, stamp_ns=0, age_s=age_s)
        if isinstance(room, VideoRoom):
            room.frame(member, packed)

    # WebRTC

    async def _offer_here(self, offers: Offers) -> None:
        """What its producer offers is offered to our media process."""
        while True:
            message = await offers.get()
            offer = message.get("offer")
            is_offer = message["type"] == "webrtc_offer"
            if self._here is None or (is_offer and not isinstance(offer, dict)):
                continue
            room, member = self._here
            asked: dict[str, Any] = {"type": "offer" if is_offer else "ice", "target_consumer": ARENA}
            asked |= {"sdp": offer.get("sdp")} if isinstance(offer, dict) else {}
            self._producer = str(message.get("from_producer") or "")
            try:
                if isinstance(room, VideoRoom):
                    posted = {**asked, "candidate": message.get("candidate")}
                    self._server.media.post(room, member.participant_id, posted, LOCAL)
            except (ArenaError, TypeError, ValueError) as error:
                # One bad candidate is no reason to lose the camera.
                self._refusals.note("here", getattr(error, "code", "signal"), str(error))

    async def _say_there(self, message: dict[str, Any]) -> None:
        """What our media process answers goes to that producer."""
        if message["type"] == "webrtc_answer":
            answer = {**(message.get("answer") or {}), "type": "answer"}
        elif message["type"] == "webrtc_ice":
            answer = {"type": "ice", "candidate": message.get("candidate")}
        else:
            return
        if self._arena is not None:
            place = self._place
            said = {**answer, "target_producer": self._producer}
            await self._arena.video.signal(place.workspace_id, place.room_id, self._name, said)
