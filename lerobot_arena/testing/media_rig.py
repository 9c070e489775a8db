# SPDX-License-Identifier: Apache-2.0
"""Clients of video rooms as upstream's Python ones are, and a media hub with a robot side that a test looks into."""

import asyncio
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.room import ANSWER, DROP, ICE, OFFER, OPEN, WANT, MediaSignal
from lerobot_arena.rooms.media_hub import MediaHub
from lerobot_arena.rooms.media_wire import payload_of, signal
from lerobot_arena.rooms.webrtc_peer import PeerSettings

ROOM = "/rooms/ws/cam"


class SeenTopics:
    """The robot side: what was published, and who is said to listen or publish."""

    def __init__(self) -> None:
        self.published: list[tuple[str, NDArray[np.uint8], int, int]] = []
        self.listeners: dict[str, int] = {}
        self.cameras: dict[str, int] = {}
        self.advertised: set[str] = set()
        self.followed: dict[str, Callable[[NDArray[np.uint8]], None]] = {}

    def publish(self, topic: str, picture: NDArray[np.uint8], stamp_ns: int) -> None:
        self.published.append((topic, picture, stamp_ns, time.time_ns()))

    def advertise(self, topic: str, is_wanted: bool) -> None:
        (self.advertised.add if is_wanted else self.advertised.discard)(topic)

    def subscribers(self, topic: str) -> int:
        return self.listeners.get(topic, 0)

    def publishers(self, topic: str) -> int:
        return self.cameras.get(topic, 0)

    def follow(self, topic: str, on_picture: Callable[[NDArray[np.uint8]], None]) -> Callable[[], None]:
        self.followed[topic] = on_picture
        return lambda: self.followed.pop(topic, None)  # type: ignore[return-value]


class HubRig:
    """A media hub, and the bridge's part of the talk: `said` is all that came from it."""

    def __init__(self, settings: PeerSettings | None = None, **limits: int) -> None:
        self.topics = SeenTopics()
        self.said: list[tuple[str, str, dict[str, Any]]] = []
        self._came = asyncio.Event()
        bounds = {"max_rooms": 4, "max_peers": 8, "max_peers_per_room": 6, **limits}
        self.hub = MediaHub(self.topics, self._on_said, settings=settings or PeerSettings(), **bounds)

    def _on_said(self, said: MediaSignal) -> None:
        self.said.append((said.kind, said.participant, payload_of(said)))
        self._came.set()

    def send(self, kind: str, participant: str = "", *, room: str = ROOM, **payload: Any) -> None:
        self.hub.on_signal(signal(room, kind, participant, payload))

    def open(self, *, room: str = ROOM, **payload: Any) -> None:
        self.send(OPEN, room=room, **payload)

    def join(self, participant: str, role: str, media: str = "webrtc") -> None:
        self.send(WANT, participant, role=role, media=media)

    def drop(self, participant: str) -> None:
        self.send(DROP, participant)

    async def heard(
        self, kind: str, participant: str, timeout_s: float = 15.0, **fields: Any
    ) -> dict[str, Any]:
        """The next signal of that kind to that participant, taken out of `said`."""
        deadline = time.monotonic() + timeout_s
        while True:
            for number, (said_kind, to, payload) in enumerate(self.said):
                if (said_kind, to) == (kind, participant) and fields.items() <= payload.items():
                    del self.said[number]
                    return payload
            self._came.clear()
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"no {kind} {fields} to {participant!r}; there was {self.said}"
            try:
                await asyncio.wait_for(self._came.wait(), left_s)
            except TimeoutError:
                continue


def make_source(paint: Callable[[int], NDArray[np.uint8]], *, rate_hz: float = 30.0) -> Any:
    """A track of painted pictures with right RTP timestamps."""
    import av
    from aiortc import MediaStreamTrack

    class Painted(MediaStreamTrack):
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self.count, self.began_s = 0, time.monotonic()

        async def recv(self) -> Any:
            # A camera's own pace.
            await asyncio.sleep(max(0.0, self.began_s + self.count / rate_hz - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(paint(self.count), format="rgb24")
            frame.pts, frame.time_base = round(self.count * 90_000 / rate_hz), Fraction(1, 90_000)
            self.count += 1
            return frame

    return Painted()


def plain(colour: tuple[int, int, int], *, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """One colour, with a few moving pixels' worth of nothing."""
    return np.full((height, width, 3), colour, dtype=np.uint8)


class OldProducer:
    """Offers as upstream's Python producer does: the description without candidates, none trickled."""

    def __init__(self, rig: HubRig, name: str, paint: Callable[[int], NDArray[np.uint8]]) -> None:
        self._rig, self.name, self._paint = rig, name, paint
        self.connections: dict[str, Any] = {}

    async def offer(self, target: str, *, rate_hz: float = 30.0) -> str:
        """Offer to a consumer and take the answer, which is returned."""
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        connection = self.connections[target] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(make_source(self._paint, rate_hz=rate_hz))
        offer = await connection.createOffer()
        await connection.setLocalDescription(offer)
        assert "a=candidate" not in offer.sdp
        self._rig.send(OFFER, self.name, type="offer", sdp=offer.sdp, target_consumer=target)
        said = await self._rig.heard(ANSWER, self.name, from_consumer=target)
        sdp = str(said["answer"]["sdp"])
        await connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return sdp

    async def close(self) -> None:
        for connection in self.connections.values():
            await connection.close()


class OldConsumer:
    """Answers as upstream's Python consumer does, and keeps the newest picture."""

    def __init__(self, rig: HubRig, name: str) -> None:
        self._rig, self.name = rig, name
        self.connection: Any = None
        self.pictures: list[NDArray[np.uint8]] = []
        self.pts: list[int] = []
        self.from_producer = ""
        self._task: asyncio.Task[None] | None = None

    async def accept(self, timeout_s: float = 15.0) -> str:
        """Take the next offer and answer it without candidates; returns the offer."""
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        said = await self._rig.heard(OFFER, self.name, timeout_s)
        self.from_producer = said["from_producer"]
        await self.close()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.on(
            "track", lambda track: setattr(self, "_task", asyncio.ensure_future(self._take(track)))
        )
        await self.connection.setRemoteDescription(RTCSessionDescription(said["offer"]["sdp"], "offer"))
        answer = await self.connection.createAnswer()
        await self.connection.setLocalDescription(answer)
        assert "a=candidate" not in answer.sdp
        self._rig.send(ANSWER, self.name, type="answer", sdp=answer.sdp, target_producer=self.from_producer)
        return str(said["offer"]["sdp"])

    async def _take(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.pts.append(int(frame.pts))
            self.pictures = [*self.pictures[-9:], frame.to_ndarray(format="rgb24")]

    async def sees(self, colour: tuple[int, int, int], timeout_s: float = 15.0) -> NDArray[np.uint8]:
        """Wait until the middle of the newest picture has about this colour."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.pictures:
                picture = self.pictures[-1]
                middle = picture[picture.shape[0] // 2, picture.shape[1] // 4].astype(int)
                if np.abs(middle - np.array(colour)).max() < 40:
                    return picture
            await asyncio.sleep(0.02)  # how often it looks; codecs have their own time
        raise AssertionError(f"{self.name} did not see {colour}: {len(self.pts)} pictures")

    def trickle(self, candidate: dict[str, Any]) -> None:
        self._rig.send(ICE, self.name, candidate=candidate, target_producer=self.from_producer)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self.connection is not None:
            await self.connection.close()
