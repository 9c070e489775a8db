# SPDX-License-Identifier: Apache-2.0
"""What we need of aiortc beyond its public face, in one file; setup.py pins its version and a test looks at each name.

Decoders that refuse pictures beyond a size before memory is taken for them, encoders whose bitrate is the room's,
our own putting together of frames, sender reports, and which addresses and ports are used.
"""

import contextlib
import queue
from collections.abc import Callable, Sequence
from typing import Any

from lerobot_arena.rooms.webrtc_jitter import FrameAssembler
from lerobot_arena.rooms.webrtc_stamps import CaptureStamps

VIDEO_HZ = 90_000
_LEAST_BITRATE = 100_000
_ASK_AGAIN_FRAMES = 15
_RECEIVER, _SENDER = "_RTCRtpReceiver__", "_RTCRtpSender__"
_DECODERS = {"video/vp8": "vp8", "video/h264": "h264"}
_ENCODERS = {"video/vp8": ("Vp8Encoder", "vpx"), "video/h264": ("H264Encoder", "h264")}


def is_key_frame(name: str, data: bytes) -> bool:
    """The frame can be decoded without earlier ones: VP8 (RFC 6386 §9.1) or H.264 with an IDR slice."""
    if name == "vp8":
        return bool(data) and not data[0] & 1
    start = data.find(b"\0\0\1")
    while 0 <= start < len(data) - 3:
        if data[start + 3] & 0x1F == 5:
            return True
        start = data.find(b"\0\0\1", start + 3)
    return False


class BoundedDecoder:
    """FFmpeg's own decoder, which looks at a picture's size before it allocates; libvpx, aiortc's, does not.

    After a loss nothing is shown until a key frame: what lies between is smeared, and a policy would act on it.
    """

    def __init__(self, name: str, largest_pixels: int) -> None:
        import av

        self._name, self._waited = name, 0
        self._codec: Any = av.CodecContext.create(name, "r")
        self._codec.options = {"max_pixels": str(largest_pixels)}
        self._codec.thread_count = 1
        self._needs_key = True

    def decode(self, encoded_frame: Any) -> list[Any]:
        """Frames of an EncodedFrame. Raises av.FFmpegError, which aiortc answers with a request for a key frame."""
        import av

        self._needs_key |= getattr(encoded_frame, "is_after_loss", False)
        if self._needs_key and not is_key_frame(self._name, encoded_frame.data):
            self._waited += 1
            # The request may have been lost as well.
            if self._waited % _ASK_AGAIN_FRAMES == 0:
                raise av.error.InvalidDataError(0, "no key frame yet")
            return []
        packet = av.Packet(encoded_frame.data)
        packet.pts = encoded_frame.timestamp
        try:
            frames = list(self._codec.decode(packet))
        except av.FFmpegError:
            self._needs_key = True
            raise
        self._needs_key, self._waited = False, 0
        return frames


class PacedEncoder:
    """aiortc's encoder at the room's bitrate, or at less when the receiver says that its network takes less."""

    def __init__(self, encoder: Any, bitrate: int) -> None:
        self._encoder, self.ceiling = encoder, bitrate
        self._field = f"_{type(encoder).__name__}__target_bitrate"
        self._estimate = bitrate

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """RTP payloads and timestamp of a VideoFrame."""
        # Its own setter keeps VP8 below 1.5 Mbit/s.
        setattr(self._encoder, self._field, self.target_bitrate)
        payloads, timestamp = self._encoder.encode(frame, force_keyframe)
        return payloads, timestamp

    @property
    def target_bitrate(self) -> int:
        """Bit/s; aiortc sets it to the receiver's estimate."""
        return max(_LEAST_BITRATE, min(self.ceiling, self._estimate))

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._estimate = bitrate


def use_decoders(largest_pixels: int) -> None:
    """Let every connection of this process decode by BoundedDecoder."""
    from aiortc import rtcrtpreceiver
    from aiortc.codecs import get_decoder

    def decoder_of(codec: Any) -> Any:
        name = _DECODERS.get(codec.mimeType.lower())
        return BoundedDecoder(name, largest_pixels) if name else get_decoder(codec)

    setattr(rtcrtpreceiver, "get_decoder", decoder_of)  # noqa: B010 - mypy knows the name as a function


def use_addresses(addresses: Sequence[str]) -> None:
    """Offer media on these addresses; aiortc by itself takes every one but loopback."""
    from aioice import ice

    chosen = list(addresses)
    setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: chosen)  # noqa: B010


def present_addresses() -> list[str]:
    """This machine's addresses, without loopback."""
    from aioice import ice

    return list(ice.get_host_addresses(use_ipv4=True, use_ipv6=False))


def prepare_receiver(receiver: Any, stamps: CaptureStamps) -> FrameAssembler:
    """Put our assembler into an RTCRtpReceiver, and let `stamps` hear its sender reports."""
    assembler = FrameAssembler()
    setattr(receiver, f"{_RECEIVER}jitter_buffer", assembler)
    pass_on: Callable[[Any], Any] = receiver._handle_rtcp_packet

    async def on_rtcp(packet: Any) -> None:
        info = getattr(packet, "sender_info", None)
        if info is not None:
            stamps.on_report(info.rtp_timestamp, info.ntp_timestamp)
        await pass_on(packet)

    receiver._handle_rtcp_packet = on_rtcp
    return assembler


def rtp_timestamp_of(receiver: Any, pts: int) -> int:
    """The RTP timestamp of a decoded frame; aiortc counts from the first one."""
    origin = getattr(receiver, f"{_RECEIVER}timestamp_mapper")._origin or 0
    return (int(pts) + int(origin)) % (1 << 32)


def waiting_frames(receiver: Any) -> int:
    """Encoded frames that the decoder has not come to yet; aiortc does not bound them."""
    return int(getattr(receiver, f"{_RECEIVER}decoder_queue").qsize())


def drop_waiting(receiver: Any) -> None:
    """Forget the encoded frames that wait: closing joins the decoder's thread, which would work through them first."""
    waiting = getattr(receiver, f"{_RECEIVER}decoder_queue")
    with contextlib.suppress(queue.Empty):
        while True:
            waiting.get_nowait()


def has_newer(track: Any) -> bool:
    """A received track has another picture waiting behind the one that was just taken."""
    waiting = track._queue._queue
    return bool(waiting) and waiting[0] is not None


def put_encoder(sender: Any, mime_type: str, bitrate: int) -> PacedEncoder:
    """Give an RTCRtpSender its encoder before it makes one itself."""
    import aiortc.codecs.h264
    import aiortc.codecs.vpx

    name, module = _ENCODERS[mime_type.lower()]
    encoder = PacedEncoder(getattr(getattr(aiortc.codecs, module), name)(), bitrate)
    setattr(sender, f"{_SENDER}encoder", encoder)
    return encoder


def encoder_of(sender: Any) -> Any:
    """What put_encoder put there, or None."""
    return getattr(sender, f"{_SENDER}encoder")
