# SPDX-License-Identifier: Apache-2.0
"""Camera pictures as JPEG for web clients: taken only while somebody watches, packed in threads, newest only."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from lerobot_arena.bridge.ports import ArmsLink, Picture
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.rooms.recovery import fit

_log = logging.getLogger(__name__)

MAGIC, MAGIC_WITH_CYCLE = 0x01, 0x02
QUALITY = 80
MAX_FPS = 60.0


def pack_frame(camera: str, jpeg: bytes) -> bytes:
    """Seed 3's binary message: [0x01][length of name][name][JPEG]. The name is at most 255 bytes of UTF-8."""
    name = camera.encode()[:255]
    return bytes((MAGIC, len(name))) + name + jpeg


def pack_frame_with_cycle(camera: str, jpeg: bytes, cycle_id: int) -> bytes:
    """DAM 0.7's message: [0x02][cycle id, 4 bytes, big-endian][length of name][name][JPEG]; the id wraps at 2³²."""
    name = camera.encode()[:255]
    number = (cycle_id % 2**32).to_bytes(4)
    return bytes((MAGIC_WITH_CYCLE,)) + number + bytes((len(name),)) + name + jpeg


@dataclass(frozen=True, slots=True)
class Packing:
    """How a picture is packed: JPEG quality in percent, and the size it is fitted into; 0: as it is."""

    quality: int = QUALITY
    width: int = 0
    height: int = 0


class FrameSink(Protocol):
    """Takes frames, and never makes anybody wait."""

    def put_frame(self, camera: str, jpeg: bytes) -> None:
        """Replace the camera's waiting frame."""


AS_IT_IS = Packing()


def to_jpeg(picture: Picture, packing: Packing = AS_IT_IS) -> bytes:
    """JPEG bytes of a picture; what came as JPEG stays as it is. Raises InvalidInput when it cannot be unpacked."""
    if picture.jpeg is not None:
        return picture.jpeg
    import cv2

    assert picture.unpack is not None
    rgb = picture.unpack()
    if packing.width and packing.height:
        rgb = fit(rgb, width=packing.width, height=packing.height)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, packing.quality]
    )
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {rgb.shape}.")
    return bytes(data)


@dataclass(slots=True, eq=False)
class _Client:
    camera: str
    outbox: FrameSink
    period_s: float
    due_at: float = 0.0


@dataclass(slots=True)
class _Source:
    """One camera topic, packed one way, and who watches it. Touched on the event loop only."""

    packing: Packing = AS_IT_IS
    clients: set[_Client] = field(default_factory=set)
    close: Callable[[], None] = lambda: None
    newest: Picture | None = None
    is_packing: bool = False
    timer: asyncio.TimerHandle | None = None
    has_failed: bool = False


class FrameHub:
    """Shares one subscription and one JPEG among all watchers of a camera; each has its own rate and mailbox."""

    def __init__(self, link: ArmsLink, pool: Executor) -> None:
        self._link, self._pool = link, pool
        self._sources: dict[tuple[str, Packing], _Source] = {}

    def watch(
        self, camera: str, topic: str, outbox: FrameSink, *, fps: float, packing: Packing = AS_IT_IS
    ) -> Callable[[], None]:
        """Put at most `fps` frames a second into `outbox` until the returned function is called."""
        key = topic, packing
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = _Source(packing)
            loop = asyncio.get_running_loop()

            def on_picture(picture: Picture) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._offer, key, picture)

            source.close = self._link.open_camera(topic, on_picture)
        client = _Client(camera, outbox, 1.0 / min(max(fps, 0.1), MAX_FPS))
        source.clients.add(client)

        def unwatch() -> None:
            source.clients.discard(client)
            if not source.clients and self._sources.get(key) is source:
                del self._sources[key]
                self._close(source)

        return unwatch

    def close(self) -> None:
        """Give all subscriptions back."""
        for source in self._sources.values():
            self._close(source)
        self._sources.clear()

    @property
    def open_topics(self) -> list[str]:
        """Cameras somebody watches now."""
        return list(dict.fromkeys(topic for topic, _ in self._sources))

    @staticmethod
    def _close(source: _Source) -> None:
        if source.timer is not None:
            source.timer.cancel()
        source.close()

    def _offer(self, key: tuple[str, Packing], picture: Picture) -> None:
        source = self._sources.get(key)
        if source is not None:
            source.newest = picture
            self._pack_when_due(key[0], source)

    def _pack_when_due(self, topic: str, source: _Source) -> None:
        if source.newest is None or source.is_packing or source.timer is not None or not source.clients:
            return
        loop = asyncio.get_running_loop()
        wait_s = min(client.due_at for client in source.clients) - loop.time()
        if wait_s > 0.002:
            source.timer = loop.call_later(wait_s, self._on_timer, topic, source)
            return
        picture, source.newest, source.is_packing = source.newest, None, True
        packing = loop.run_in_executor(self._pool, to_jpeg, picture, source.packing)
        packing.add_done_callback(lambda done: self._on_packed(topic, source, done))

    def _on_timer(self, topic: str, source: _Source) -> None:
        source.timer = None
        self._pack_when_due(topic, source)

    def _on_packed(self, topic: str, source: _Source, done: asyncio.Future[bytes]) -> None:
        source.is_packing = False
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._deliver(source, done.result())
        elif not source.has_failed:
            # Once per watch: a camera of an unknown encoding fails with every frame.
            source.has_failed = True
            _log.warning("No pictures of %s: %s", topic, error, exc_info=not isinstance(error, ArenaError))
        self._pack_when_due(topic, source)

    @staticmethod
    def _deliver(source: _Source, jpeg: bytes) -> None:
        now = asyncio.get_running_loop().time()
        for client in source.clients:
            if client.due_at <= now + 0.002:
                # Keep the pace from the due time, so that a 15 of 30 frames client gets every second one.
                client.due_at = max(client.due_at + client.period_s, now)
                client.outbox.put_frame(client.camera, jpeg)
