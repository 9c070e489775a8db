# SPDX-License-Identifier: Apache-2.0
"""All rooms of the media process, and the bounds over them. Signals of one room are dealt with in order."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from lerobot_arena.core.errors import ArenaError, InvalidInput, TooMany
from lerobot_arena.core.room import ANSWER, CLOSE, DROP, ERROR, ICE, OFFER, OPEN, WANT, MediaSignal
from lerobot_arena.rooms.media_queue import SignalQueue
from lerobot_arena.rooms.media_room import MediaRoom
from lerobot_arena.rooms.media_shape import PictureTopics, RoomShape
from lerobot_arena.rooms.media_wire import CONSUMER, WEBRTC, payload_of, signal
from lerobot_arena.rooms.webrtc_peer import PeerSettings, load

_log = logging.getLogger(__name__)

_LOOK_S = 0.5


class MediaHub:
    """`on_signal` takes what the bridge says, `send` is how it is answered. Lives on one event loop."""

    def __init__(
        self,
        topics: PictureTopics,
        send: Callable[[MediaSignal], None],
        *,
        settings: PeerSettings,
        max_rooms: int,
        max_peers: int,
        max_peers_per_room: int,
    ) -> None:
        self._topics, self._send, self._settings = topics, send, settings
        self._max_rooms, self._max_peers, self._max_per_room = max_rooms, max_peers, max_peers_per_room
        self._rooms: dict[str, MediaRoom] = {}
        self._waiting: dict[str, SignalQueue] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._closing: set[str] = set()
        self._boot_id = ""

    @property
    def rooms(self) -> int:
        """Rooms that are open."""
        return len(self._rooms)

    @property
    def peers(self) -> int:
        """Connections that are open."""
        return sum(room.peers for room in self._rooms.values())

    def on_signal(self, received: MediaSignal) -> None:
        """Deal with a signal of the bridge, after those of the same room before it."""
        if received.boot_id != self._boot_id:
            # The bridge is another one and knows nobody of before; it says all anew.
            self._boot_id = received.boot_id
            for topic in list(self._rooms):
                self._enqueue(signal(topic, CLOSE))
        self._enqueue(received)

    def _enqueue(self, received: MediaSignal) -> None:
        topic = received.room_topic
        queue = self._waiting.get(topic)
        if queue is None:
            if received.kind != OPEN:
                return
            if len(self._waiting) - len(self._closing) >= self._max_rooms:
                self._refuse(received, TooMany(f"There are {self._max_rooms} rooms with WebRTC already."))
                return
            queue = self._waiting[topic] = SignalQueue()
            self._workers[topic] = asyncio.ensure_future(self._work(topic, queue))
        (self._closing.add if received.kind == CLOSE else self._closing.discard)(topic)
        try:
            queue.put(received)
        except TooMany as error:
            self._refuse(received, error)

    async def _work(self, topic: str, queue: SignalQueue) -> None:
        while True:
            try:
                received = await asyncio.wait_for(queue.get(), _LOOK_S)
            except TimeoutError:
                await self._guarded(topic, None)
                continue
            await self._guarded(topic, received)
            if received.kind == CLOSE and queue.is_empty:
                self._closing.discard(topic)
                self._waiting.pop(topic, None)
                self._workers.pop(topic, None)
                return

    async def _guarded(self, topic: str, received: MediaSignal | None) -> None:
        """One signal, or a look around; whatever goes wrong is told, and the room's work goes on."""
        try:
            room = self._rooms.get(topic)
            if received is None:
                if room is not None:
                    async with room.lock:
                        await room.look()
            else:
                await self._deal_with(received, room)
        except ArenaError as error:
            if received is not None:
                self._refuse(received, error)
        except Exception:
            _log.exception("Room %s", topic)
            if received is not None:
                self._refuse(received, InvalidInput("This signal could not be dealt with."))

    async def _deal_with(self, received: MediaSignal, room: MediaRoom | None) -> None:
        payload = payload_of(received)
        if received.kind == OPEN:
            await self._open(received.room_topic, room, payload)
            return
        if room is None:
            return
        if received.kind == OFFER or payload.get("media") == WEBRTC:
            await load()
        async with room.lock:
            if received.kind == CLOSE:
                del self._rooms[received.room_topic]
                await room.close()
            elif received.kind == WANT:
                await room.join(
                    received.participant,
                    str(payload.get("role", CONSUMER)),
                    str(payload.get("media", WEBRTC)),
                )
            elif received.kind == DROP:
                await room.leave(received.participant)
            else:
                await self._signal(received, room, payload)

    async def _signal(self, received: MediaSignal, room: MediaRoom, payload: dict[str, Any]) -> None:
        if received.kind == OFFER:
            await room.offer(received.participant, payload)
        elif received.kind == ANSWER:
            await room.answer(received.participant, payload)
        elif received.kind == ICE:
            await room.ice(received.participant, payload)

    async def _open(self, topic: str, room: MediaRoom | None, payload: dict[str, Any]) -> None:
        shape = RoomShape.from_payload(payload, topic)
        if room is not None:
            async with room.lock:
                await room.configure(shape)
            return

        def say(kind: str, participant: str, said: dict[str, Any]) -> None:
            self._send(signal(topic, kind, participant, said))

        self._rooms[topic] = MediaRoom(
            topic,
            shape,
            settings=self._settings,
            topics=self._topics,
            say=say,
            check_room=self._check_room,
        )

    def _check_room(self, peers: int) -> None:
        """Raise TooMany when a room with `peers` connections may not have one more."""
        if peers >= self._max_per_room:
            raise TooMany(f"This room has {peers} WebRTC connections, as many as it may.")
        if self.peers >= self._max_peers:
            raise TooMany(f"This server has {self._max_peers} WebRTC connections, as many as it may.")

    def _refuse(self, received: MediaSignal, error: ArenaError) -> None:
        said = {"code": error.code, "message": str(error)}
        self._send(signal(received.room_topic, ERROR, received.participant, said))

    async def close(self) -> None:
        """End every connection."""
        for worker in self._workers.values():
            worker.cancel()
        for room in self._rooms.values():
            await room.close()
        self._rooms.clear()
