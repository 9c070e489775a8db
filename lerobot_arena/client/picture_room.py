# SPDX-License-Identifier: Apache-2.0
"""A video room for asyncio, as JPEG over its WebSocket: show pictures as its producer, or watch as a consumer.

WebRTC is for browsers and aiortc; `AsyncArena.video.signal` passes its messages.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from lerobot_arena.client import wire
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.joint_room import STOP_TIMEOUT_S
from lerobot_arena.client.room_link import Place, RoomLink
from lerobot_arena.client.rooms import VIDEO
from lerobot_arena.client.wire import RoomFrame
from lerobot_arena.core.clock import NS
from lerobot_arena.core.delay import DelayEstimator
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, TooLarge

MOST_JPEG_BYTES = 1_000_000
_JPEG = {"media": "jpeg", "frames": "v3"}


def check_jpeg(jpeg: bytes) -> None:
    """Raises InvalidInput for what is no JPEG, TooLarge for one that no room takes."""
    if not jpeg.startswith(b"\xff\xd8") or not jpeg.endswith(b"\xff\xd9"):
        raise InvalidInput("The picture is not a whole JPEG: it begins with FF D8 and ends with FF D9.")
    if len(jpeg) > MOST_JPEG_BYTES:
        raise TooLarge(
            f"The picture has {len(jpeg)} bytes; {MOST_JPEG_BYTES} are allowed. Lower its quality."
        )


class PictureRoom:
    """Made by `AsyncArena.join_video`; use it in an `async with`. It comes back by itself after a break."""

    def __init__(self, connection: Connection, place: Place, *, stand_ins: bool = False) -> None:
        self.link = RoomLink(
            connection,
            place,
            on_message=self._on_message,
            on_bytes=self._on_frame,
            on_change=self._on_link,
            more={**_JPEG, "stand_ins": stand_ins},
        )
        self.on_estop: Callable[[str, str], object] | None = None
        self.on_change: Callable[[bool, str], object] | None = None
        self.on_error: Callable[[ArenaError], object] | None = None
        self.on_event: Callable[[dict[str, Any]], object] | None = None
        """Gets every other message: participant_joined, video_config_update, recovery_triggered …"""
        self._delay = DelayEstimator()
        self._frame: tuple[RoomFrame, int] | None = None
        self._arrived = asyncio.Event()

    @property
    def is_live(self) -> bool:
        """Joined, and the server was heard of within the last seconds."""
        return self.link.is_live

    @property
    def estop_latched(self) -> bool:
        """Pictures go on while it is."""
        return self.link.estop_latched

    @property
    def counters(self) -> Mapping[str, int]:
        """sent, received, replaced, malformed, unsent, breaks, reconnects, and `refused:<code>`."""
        return self.link.counters

    @property
    def rtt_s(self) -> float | None:
        """The last heartbeat's way there and back."""
        return self.link.rtt_s

    async def open(self) -> Self:
        """Join. Raises what the room refuses, or that nobody answers."""
        await self.link.open()
        return self

    async def close(self) -> None:
        """Leave."""
        await self.link.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def send_frame(self, jpeg: bytes, stamp_ns: int | None = None) -> bool:
        """Show a JPEG; never waits. False when the link is down. On a slow link the newest replaces what waits.

        `stamp_ns` is when it was taken, by `time.monotonic_ns()`. Raises InvalidInput or TooLarge.
        """
        check_jpeg(jpeg)
        if self.link.place.role != wire.PRODUCER:
            raise Conflict("Only a producer shows pictures: join with role='producer'.")
        if not self.link.is_joined:
            self.link.counters["unsent"] += 1
            return False
        self.link.outgoing.put_frame(bytes(jpeg), time.monotonic_ns() if stamp_ns is None else int(stamp_ns))
        return True

    def configure(self, **config: Any) -> bool:
        """Ask for another encoding, resolution, framerate, bitrate or quality, as its producer. False: link down."""
        return self.link.say({"type": "video_config_update", "config": config})

    async def emergency_stop(self, reason: str = "Emergency stop", timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop; it is so in the room when this returns. Raises NotAnswering when nobody confirmed it."""
        await self.link.emergency_stop(reason, timeout_s)

    async def next(self, timeout_s: float | None = None) -> RoomFrame | None:
        """The next picture; None when none came in time. Raises the reason when the link has ended for good."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._frame is None:
                    if self.link.failure is not None:
                        raise self.link.failure
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return None
        (frame, received_ns), self._frame = self._frame, None
        waited_s = (time.monotonic_ns() - received_ns) / NS
        return frame if frame.age_s is None else replace(frame, age_s=frame.age_s + waited_s)

    async def __aiter__(self) -> AsyncIterator[RoomFrame]:
        while (frame := await self.next()) is not None:
            yield frame

    def _on_frame(self, data: bytes, received_ns: int) -> None:
        frame = wire.read_frame(data)
        self.link.counters["received"] += 1
        self.link.counters["replaced"] += self._frame is not None
        if frame.age_s is not None:
            late_s = self._delay.delay_s(frame.stamp_mono_ns, received_ns) if frame.stamp_mono_ns else 0.0
            frame = replace(frame, age_s=max(frame.age_s, late_s) + self.link.way_s)
        self._frame = frame, received_ns
        self._arrived.set()

    def _on_message(self, message: dict[str, Any], received_ns: int) -> None:
        match message["type"]:
            case "emergency_stop":
                self.link.called(self.on_estop, str(message.get("reason")), str(message.get("source")))
            case "error":
                error = wire.refusal_of(message)
                self.link.counters[f"refused:{error.code}"] += int(wire.number(message, "count", 1))
                self.link.called(self.on_error, error)
            case "heartbeat_ack":
                pass
            case "participant_joined":
                # Another camera's clock.
                self._delay.reset()
                self.link.called(self.on_event, message)
            case _:
                self.link.called(self.on_event, message)

    def _on_link(self, is_up: bool, reason: str) -> None:
        self._frame = None
        self._arrived.set()
        self.link.called(self.on_change, is_up, reason)


def picture_room(
    connection: Connection,
    workspace_id: str,
    room_id: str,
    *,
    role: str,
    participant_id: str | None,
    stand_ins: bool = False,
) -> PictureRoom:
    """A room that is not joined yet."""
    place = Place.checked(VIDEO, workspace_id, room_id, role, participant_id)
    return PictureRoom(connection, place, stand_ins=stand_ins)
