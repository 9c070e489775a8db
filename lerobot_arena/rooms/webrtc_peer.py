# SPDX-License-Identifier: Apache-2.0
"""One WebRTC connection with a client: taking its pictures, or showing it ours. Foreign SDP and media end here.

Descriptions are complete: candidates are in them, and clients need not trickle theirs, because whoever reaches us is
answered (peer-reflexive candidates).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.rooms.ice import IceServer, host_addresses
from lerobot_arena.rooms.media_stage import Stage
from lerobot_arena.rooms.recovery import Picture
from lerobot_arena.rooms.video_config import LARGEST_HEIGHT, LARGEST_WIDTH, VideoConfig
from lerobot_arena.rooms.webrtc_aiortc import (
    drop_waiting,
    encoder_of,
    has_newer,
    prepare_receiver,
    present_addresses,
    put_encoder,
    rtp_timestamp_of,
    use_addresses,
    use_decoders,
    waiting_frames,
)
from lerobot_arena.rooms.webrtc_jitter import FrameAssembler
from lerobot_arena.rooms.webrtc_stamps import CaptureStamps, Stamped
from lerobot_arena.rooms.webrtc_track import make_track

_log = logging.getLogger(__name__)

MIME_TYPES = {"vp8": "video/vp8", "h264": "video/h264"}
CONNECT_TIMEOUT_S = 20.0
MOST_WAITING_FRAMES = 60
LARGEST_SDP = 64_000
# As many as a section of an SDP may have; each is tried on the network.
MOST_CANDIDATES = 64
_WATCH_S = 0.5
# With a STUN or TURN server that does not answer, gathering takes five seconds.
_NEGOTIATION_S = 12.0


@dataclass(slots=True)
class PictureSink:
    """Where a client's pictures go: `publish` (with the capture stamp) in a worker thread, then `show` on the loop.

    What is later than `max_age_s` is shown, but not published: a node takes for new what it receives now.
    """

    publish: Callable[[Picture, int], None]
    show: Callable[[Picture], None]
    max_age_s: float


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What all connections share; `ice_servers` is asked anew for each, because passwords end."""

    ice_addresses: tuple[str, ...] = ()
    ice_servers: Callable[[], Sequence[IceServer]] = tuple
    largest_stamp_age_s: float = 1.0


async def load() -> None:
    """Import what connections need, in another thread: on a busy machine it takes seconds, and others wait."""
    await asyncio.to_thread(_import)


@cache
def _import() -> None:
    import aiortc
    import cv2

    assert aiortc.__version__ and cv2.__version__


@cache
def _present() -> tuple[str, ...]:
    """Addresses before ours are put in their place; not before the first connection, because aiortc takes 70 MB."""
    use_decoders(LARGEST_WIDTH * LARGEST_HEIGHT)
    return tuple(present_addresses())


def check_sdp(sdp: str) -> None:
    """Raise InvalidInput when no session description can be read from `sdp`, or it has too many parts."""
    if len(sdp) > LARGEST_SDP:
        raise InvalidInput(f"An SDP of {len(sdp)} characters is too long.")
    from aiortc.sdp import SessionDescription

    try:
        described = SessionDescription.parse(sdp)
    except Exception as error:  # aiortc's parser raises whatever a malformed line leads to
        raise InvalidInput(f"The SDP cannot be read: {error}.") from error
    if len(described.media) > 8:
        raise InvalidInput("The SDP has more than 8 media sections.")
    if any(len(media.ice_candidates) > MOST_CANDIDATES for media in described.media):
        raise InvalidInput(f"The SDP has more than {MOST_CANDIDATES} candidates in a section.")


class Peer:
    """One RTCPeerConnection. `on_end` hears once when it ends without having been closed by us; `fault` says what
    the client could do about it, if anything."""

    def __init__(self, settings: PeerSettings, on_end: Callable[["Peer"], None]) -> None:
        from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection

        use_addresses(host_addresses(settings.ice_addresses, _present()))
        servers = [
            RTCIceServer(server["urls"], server.get("username"), server.get("credential"))
            for server in settings.ice_servers()
        ]
        self._settings = settings
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._connection.on("connectionstatechange", self._on_state)
        self._on_end: Callable[[Peer], None] | None = on_end
        self._receiver: Any = None
        self._assembler: FrameAssembler | None = None
        self._sender: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._began_s = time.monotonic()
        self._candidates = 0
        self.is_taking = False
        self.fault = ""
        self.pictures = self.stale = 0
        self.stamps = CaptureStamps(largest_age_s=settings.largest_stamp_age_s)

    @property
    def received_bytes(self) -> int:
        """Of encoded pictures."""
        return self._assembler.taken_bytes if self._assembler is not None else 0

    # What a client sends

    async def answer(self, sdp: str, config: VideoConfig, sink: PictureSink | None) -> str:
        """The answer to an offer: its first video is taken when there is a `sink`, all else is inactive.

        Raises InvalidInput when the offer cannot be answered.
        """
        try:
            async with asyncio.timeout(_NEGOTIATION_S):
                await self._negotiate(sdp, config, sink)
        except Exception as error:  # whatever a hostile offer leads aiortc to
            await self.close()
            raise InvalidInput(f"The offer cannot be answered: {error or type(error).__name__}.") from error
        if sink is not None and self._receiver is not None and self._receiver.track is not None:
            self.is_taking = True
            self._tasks.append(asyncio.ensure_future(self._take(sink)))
        self._watch()
        return _with_bandwidth(self._connection.localDescription.sdp, config.bitrate)

    async def _negotiate(self, sdp: str, config: VideoConfig, sink: PictureSink | None) -> None:
        from aiortc import RTCSessionDescription

        if sink is not None and "m=video" in sdp:
            self._expect(config)
        await self._connection.setRemoteDescription(RTCSessionDescription(_resolvable(sdp), "offer"))
        for transceiver in self._connection.getTransceivers():
            if transceiver.receiver is not self._receiver:
                transceiver.direction = "inactive"
        await self._connection.setLocalDescription(await self._connection.createAnswer())

    def _expect(self, config: VideoConfig) -> None:
        transceiver = self._connection.addTransceiver("video", direction="recvonly")
        transceiver.setCodecPreferences(
            _codecs(*sorted(MIME_TYPES, key=lambda name: name != config.encoding))
        )
        self._receiver = transceiver.receiver
        self._assembler = prepare_receiver(self._receiver, self.stamps)

    async def _take(self, sink: PictureSink) -> None:
        from aiortc.mediastreams import MediaStreamError

        track = self._receiver.track
        while True:
            try:
                frame = await track.recv()
                arrival_ns, steady_ns = time.time_ns(), time.monotonic_ns()
                while has_newer(track):
                    frame = await track.recv()
            except MediaStreamError:
                return
            rtp_timestamp = rtp_timestamp_of(self._receiver, frame.pts)
            stamped = self.stamps.stamp(rtp_timestamp, arrival_ns=arrival_ns, steady_ns=steady_ns)
            self.pictures += 1
            self.stale += stamped.late_s > sink.max_age_s
            sink.show(await asyncio.to_thread(_unpack, frame, stamped, sink))

    # What a client watches

    async def offer(self, stage: Stage) -> str:
        """An offer of what `stage` shows, in the room's encoding alone."""
        encoding = stage.config.encoding
        transceiver = self._connection.addTransceiver(make_track(stage), direction="sendonly")
        transceiver.setCodecPreferences(_codecs(encoding))
        self._sender = transceiver.sender
        put_encoder(self._sender, MIME_TYPES[encoding], stage.config.bitrate)
        await self._connection.setLocalDescription(await self._connection.createOffer())
        self._watch()
        return str(self._connection.localDescription.sdp)

    async def take_answer(self, sdp: str) -> None:
        """The client's answer to our offer. Raises InvalidInput."""
        from aiortc import RTCSessionDescription

        if self._connection.signalingState != "have-local-offer":
            raise InvalidInput("There is no open offer that this answers.")
        try:
            async with asyncio.timeout(_NEGOTIATION_S):
                await self._connection.setRemoteDescription(RTCSessionDescription(_resolvable(sdp), "answer"))
        except Exception as error:  # whatever a hostile answer leads aiortc to
            raise InvalidInput(f"The answer cannot be used: {error}.") from error

    async def take_candidate(self, candidate: dict[str, Any]) -> None:
        """One trickled candidate, as browsers write it. Raises InvalidInput."""
        from aiortc.sdp import candidate_from_sdp

        text = str(candidate.get("candidate") or "").removeprefix("candidate:")
        if not text:
            return
        self._candidates += 1
        if self._candidates > MOST_CANDIDATES:
            raise InvalidInput(f"A connection takes {MOST_CANDIDATES} candidates.")
        try:
            parsed = candidate_from_sdp(text[:500])
            parsed.sdpMid, parsed.sdpMLineIndex = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
            if parsed.sdpMid is None and parsed.sdpMLineIndex is None:
                parsed.sdpMLineIndex = 0
            if parsed.protocol.lower() == "udp" and not parsed.ip.endswith(".local"):
                await self._connection.addIceCandidate(parsed)
        except Exception as error:  # whatever a hostile candidate leads aiortc to
            raise InvalidInput(f"The candidate cannot be used: {error}.") from error

    def configure(self, config: VideoConfig) -> None:
        """Encode at another bitrate from the next picture on."""
        encoder = encoder_of(self._sender) if self._sender is not None else None
        if encoder is not None:
            encoder.ceiling = config.bitrate

    # Its end

    def _watch(self) -> None:
        self._tasks.append(asyncio.ensure_future(self._look_after()))

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            waited_s = time.monotonic() - self._began_s
            if self._connection.connectionState in {"new", "connecting"} and waited_s > CONNECT_TIMEOUT_S:
                self._end(
                    "No network path was found: UDP between both sides is needed, or TURN (docs/video.md)."
                )
            if self._receiver is not None and waiting_frames(self._receiver) > MOST_WAITING_FRAMES:
                self._end("The pictures come faster than they can be decoded: send fewer or smaller ones.")

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state in {"failed", "closed"}:
            self._end()

    def _end(self, fault: str = "") -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self.fault = fault
            on_end(self)

    async def close(self) -> None:
        """End without telling."""
        self._on_end = None
        own = asyncio.current_task()
        if self._receiver is not None:
            drop_waiting(self._receiver)
        for task in self._tasks:
            if task is not own:
                task.cancel()
        try:
            await asyncio.wait_for(self._connection.close(), 5.0)
        except Exception as error:  # nothing depends on how a connection with a stranger ends
            _log.warning("A connection did not close cleanly: %s: %s", type(error).__name__, error)


def _unpack(frame: Any, stamped: Stamped, sink: PictureSink) -> Picture:
    picture: Picture = frame.to_ndarray(format="rgb24")
    if stamped.late_s <= sink.max_age_s:
        sink.publish(picture, stamped.stamp_ns)
    return picture


def _resolvable(sdp: str) -> str:
    """Without candidates that only multicast could resolve: who hides behind a name reaches us, and is answered."""
    lines = sdp.splitlines()
    return (
        "\r\n".join(line for line in lines if not (line.startswith("a=candidate:") and ".local " in line))
        + "\r\n"
    )


def _codecs(*encodings: str) -> list[Any]:
    """aiortc's capabilities in this order, with retransmission."""
    from aiortc import RTCRtpSender

    known = RTCRtpSender.getCapabilities("video").codecs
    wanted = [MIME_TYPES[encoding] for encoding in encodings] + ["video/rtx"]
    return [codec for mime_type in wanted for codec in known if codec.mimeType.lower() == mime_type]


def _with_bandwidth(sdp: str, bitrate: int) -> str:
    """The answer with what the sender may use (b=AS, kbit/s), which browsers keep to."""
    lines: list[str] = []
    is_video = False
    for line in sdp.split("\r\n"):
        if line.startswith("m="):
            is_video = line.startswith("m=video")
        lines.append(line)
        if is_video and line.startswith("c="):
            lines.append(f"b=AS:{max(1, bitrate // 1000)}")
    return "\r\n".join(lines)
