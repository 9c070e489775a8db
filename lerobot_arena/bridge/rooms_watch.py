# SPDX-License-Identifier: Apache-2.0
"""JPEG for watchers of video rooms: of ROS cameras while no simple client produces, and of losses what stands in.

A stand-in goes to watchers only. A client's JPEG is never decoded here, so of its losses the last picture is repeated
or one is drawn anew.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.bridge.frames import FrameHub, Packing, to_jpeg
from lerobot_arena.bridge.ports import Picture
from lerobot_arena.bridge.rooms_traffic import topic_of
from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.rooms import messages
from lerobot_arena.rooms.jpeg import size_of
from lerobot_arena.rooms.media_wire import JPEG
from lerobot_arena.rooms.recovery import NO_FRAMES, NO_PRODUCER, Loss, RecoveryClock, stand_in
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.video import Shown, VideoRoom
from lerobot_arena.rooms.video_config import FREEZE, RecoveryConfig

_log = logging.getLogger(__name__)

_LOOK_S = 0.05
_IDLE_S = 0.5
# Of what stands in: it says for how long, and costs a JPEG each.
_STAND_IN_NS = NS // 5


@dataclass(slots=True, eq=False)
class _Watched:
    """A room that somebody watches. It is the FrameHub's sink for it."""

    room: VideoRoom
    recovery: RecoveryClock
    key: tuple[Any, ...] = ()
    close: Callable[[], None] | None = None
    last: Shown | None = None
    is_foreign: bool = False
    stood_in_ns: int = 0
    drawing: set[asyncio.Task[None]] = field(default_factory=set)

    def put_frame(self, _camera: str, jpeg: bytes) -> None:
        self.room.show(jpeg, born_ns=self.room.clock.steady_ns())

    def on_shown(self, shown: Shown) -> None:
        self.recovery.on_frame(self.room.clock.steady_ns() / NS)
        self.last = shown
        producer = self.room.producer
        self.is_foreign = producer is not None and producer.join.media == JPEG


class RoomWatch:
    """Lives on the event loop; `update` after every change of a room's members."""

    def __init__(self, frames: FrameHub, clock: Clock) -> None:
        self._frames, self._clock = frames, clock
        self._watched: dict[Place, _Watched] = {}

    def prepare(self, room: VideoRoom) -> None:
        """Connect a new room."""
        heard = room.on_config

        def on_config() -> None:
            heard()
            self.update(room)

        room.on_config = on_config

    def update(self, room: Room) -> None:
        """Watch what is to be watched, and no more."""
        if not isinstance(room, VideoRoom):
            return
        if not room.watchers:
            self.forget(room)
            return
        watched = self._watched.get(room.place)
        if watched is None:
            recovery = RecoveryClock(room.recovery, self._clock.steady_ns() / NS)
            watched = self._watched[room.place] = _Watched(room, recovery)
            room.on_shown = watched.on_shown
        producer, config = room.producer, room.config
        is_ours = producer is not None and producer.join.media == JPEG
        packing = Packing(config.quality, *((config.width, config.height) if room.has_size else (0, 0)))
        key = () if is_ours else (topic_of(room), float(config.framerate), packing)
        if key != watched.key:
            self._stop(watched)
            watched.key = key
            if key:
                watched.close = self._frames.watch(
                    room.place.room_id, key[0], watched, fps=key[1], packing=packing
                )

    def forget(self, room: Room) -> None:
        """Nobody watches any more."""
        watched = self._watched.pop(room.place, None)
        if watched is not None:
            self._stop(watched)
            watched.room.on_shown = lambda _shown: None

    @staticmethod
    def _stop(watched: _Watched) -> None:
        if watched.close is not None:
            watched.close()
            watched.close = None

    def close(self) -> None:
        """Watch nothing more."""
        for watched in list(self._watched.values()):
            self.forget(watched.room)

    async def keep_watching(self) -> None:
        """Notice losses, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S if self._watched else _IDLE_S)
            for watched in list(self._watched.values()):
                try:
                    self.look(watched)
                except Exception:  # one room's trouble is not the others'
                    _log.exception("Room %s could not be looked after.", watched.room.place)

    def look(self, watched: _Watched) -> None:
        """Tell watchers of a loss, and show what stands in."""
        now_ns = self._clock.steady_ns()
        loss = watched.recovery.look(now_ns / NS)
        if loss is None:
            return
        if loss.is_new:
            has_producer = watched.room.participants()["producer"] is not None
            reason = NO_FRAMES if has_producer else NO_PRODUCER
            text = messages.say("recovery_triggered", policy=loss.policy, reason=reason)
            for member in watched.room.watchers:
                member.mailbox.put_event(text)
        elif now_ns - watched.stood_in_ns < _STAND_IN_NS:
            return
        watched.stood_in_ns = now_ns
        if not watched.drawing:
            task = asyncio.get_running_loop().create_task(self._stand_in(watched, loss))
            watched.drawing.add(task)
            task.add_done_callback(watched.drawing.discard)

    async def _stand_in(self, watched: _Watched, loss: Loss) -> None:
        last, room = watched.last, watched.room
        if last is not None and watched.is_foreign and loss.policy == FREEZE:
            room.hand_out(last, stands_in=True)
            return
        jpeg = await asyncio.to_thread(
            _drawn,
            loss,
            last.jpeg if last is not None else None,
            room.recovery,
            is_foreign=watched.is_foreign,
            default_size=(room.config.width, room.config.height),
            quality=room.config.quality,
        )
        if watched.last is last:
            born_ns = last.born_ns if last is not None else room.clock.steady_ns()
            room.hand_out(Shown(jpeg, last.seq if last is not None else 0, born_ns), stands_in=True)


def _drawn(
    loss: Loss,
    last: bytes | None,
    config: RecoveryConfig,
    *,
    is_foreign: bool,
    default_size: tuple[int, int],
    quality: int,
) -> bytes:
    """Runs in a thread. The last picture is decoded only when this process packed it, or the robot's own driver."""
    width, height = size_of(last) if last is not None else default_size
    picture = _decoded(last) if last is not None and not is_foreign else None
    drawn = stand_in(loss, picture, config, width=width, height=height)
    return to_jpeg(Picture(unpack=lambda: drawn), Packing(quality))


def _decoded(jpeg: bytes) -> Any:
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else pixels[:, :, ::-1].copy()
