# SPDX-License-Identifier: Apache-2.0
"""RTP to frames, capture stamps, codecs with bounds; and that aiortc still is what we take it for."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.clock import NS
from lerobot_arena.rooms.media_rules import (
    OfferFacts,
    OfferRole,
    is_arena_wanted,
    is_shown_by_server,
    role_of_offer,
)
from lerobot_arena.rooms.video_config import VideoConfig
from lerobot_arena.rooms.webrtc_aiortc import BoundedDecoder, PacedEncoder, is_key_frame
from lerobot_arena.rooms.webrtc_jitter import CAPACITY, EncodedFrame, FrameAssembler
from lerobot_arena.rooms.webrtc_peer import _resolvable, _with_bandwidth
from lerobot_arena.rooms.webrtc_stamps import CaptureStamps, ntp_to_ns

_NTP_EPOCH_S = 2_208_988_800


@dataclass
class Packet:
    sequence_number: int
    timestamp: int
    marker: int
    _data: bytes


def packets_of(sizes: list[int], first: int) -> list[Packet]:
    """Frames of so many packets, numbered from `first` and wrapping."""
    packets: list[Packet] = []
    for number, size in enumerate(sizes):
        for part in range(size):
            sequence = (first + len(packets)) % 65536
            packets.append(Packet(sequence, 3000 * number, int(part == size - 1), bytes([number, part])))
    return packets


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=30),
    st.integers(0, 65535),
    st.randoms(use_true_random=False),
)
def test_every_frame_comes_out_whole_and_in_order_however_packets_are_shuffled(sizes, first, random) -> None:  # type: ignore[no-untyped-def]
    packets = packets_of(sizes, first)
    order = packets[:1]
    rest = packets[1:]
    # A network reorders over a few packets, and repeats some.
    while rest:
        order.append(rest.pop(random.randrange(min(4, len(rest)))))
        if random.random() < 0.2:
            order.append(random.choice(order))
    # One frame comes out for each packet that goes in, at most.
    order += [packets[-1]] * len(sizes)
    assembler, frames = FrameAssembler(clock=lambda: 0.0), []
    for packet in order:
        is_lost, frame = assembler.add(packet)
        assert not is_lost
        frames += [frame] if frame is not None else []
    expected = [bytes(b for part in range(size) for b in (n, part)) for n, size in enumerate(sizes)]
    assert [frame.data for frame in frames] == expected[: len(frames)]
    assert len(frames) == len(sizes)


def test_a_frame_is_handed_on_with_its_last_packet_and_not_a_frame_later() -> None:
    assembler = FrameAssembler(clock=lambda: 0.0)
    first, second, third = packets_of([2, 1], 100)
    assert assembler.add(first) == (False, None)
    assert assembler.add(second)[1].data == bytes([0, 0, 0, 1])  # type: ignore[union-attr]
    assert assembler.add(third)[1].timestamp == 3000  # type: ignore[union-attr]


def test_a_lost_packet_is_waited_for_and_then_given_up_for_a_key_frame() -> None:
    now = [0.0]
    assembler = FrameAssembler(patience_s=0.25, clock=lambda: now[0])
    packets = packets_of([1, 3, 2, 2], 65534)
    lost = packets[2]
    assert assembler.add(packets[0])[1] is not None
    for packet in packets[1:6]:
        if packet is not lost:
            assert assembler.add(packet) == (False, None)
    now[0] = 0.7
    is_lost, frame = assembler.add(packets[6])
    assert is_lost, "a key frame is asked for"
    assert frame is not None and frame.timestamp == 6000 and frame.is_after_loss, (
        "and the next whole frame is tried"
    )
    assert assembler.add(lost) == (False, None), "what comes too late is nothing"
    following = assembler.add(packets[7])[1]
    assert following is not None and following.timestamp == 9000 and not following.is_after_loss


def test_a_gap_that_is_filled_in_time_costs_no_frame() -> None:
    now = [0.0]
    assembler = FrameAssembler(clock=lambda: now[0])
    packets = packets_of([1, 1, 1], 7)
    frames = [assembler.add(packets[0])[1], assembler.add(packets[2])[1]]
    now[0] = 0.1
    frames += [assembler.add(packets[1])[1], assembler.add(packets[2])[1]]
    assert [frame.timestamp for frame in frames if frame] == [0, 3000, 6000]


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 3), st.booleans()), max_size=300))
def test_no_stream_of_packets_makes_it_grow_or_raise(stream: list[tuple[int, int, bool]]) -> None:
    assembler = FrameAssembler(clock=lambda: 0.0)
    for number, timestamp, marker in stream:
        assembler.add(Packet(number, timestamp, int(marker), b"x"))
        assert len(assembler._packets) <= CAPACITY


def ntp(seconds: float) -> int:
    return int((seconds + _NTP_EPOCH_S) * (1 << 32))


def stamp_of(stamps: CaptureStamps, rtp: int, arrival_ns: int) -> int:
    return stamps.stamp(rtp, arrival_ns=arrival_ns, steady_ns=arrival_ns - 900 * NS).stamp_ns


def test_a_stamp_is_the_capture_time_once_a_report_has_come() -> None:
    stamps = CaptureStamps(largest_age_s=1.0)
    assert stamp_of(stamps, 1000, 50 * NS) == 50 * NS, "receipt without a report"
    assert ntp_to_ns(ntp(50.0)) == pytest.approx(50 * NS, abs=2)
    stamps.on_report(1000, ntp(50.0))
    assert stamp_of(stamps, 1000 + 9000, round(50.18 * NS)) == pytest.approx(50.1 * NS, abs=1000)
    wrapped = CaptureStamps(largest_age_s=1.0)
    wrapped.on_report((1 << 32) - 4500, ntp(50.0))
    assert stamp_of(wrapped, 4500, round(50.15 * NS)) == pytest.approx(50.1 * NS, abs=1000)


@pytest.mark.parametrize("offset_s", [-3600.0, -2.0, 0.2, 7200.0])
def test_a_clock_that_disagrees_with_ours_is_not_believed_but_lateness_still_counts(offset_s: float) -> None:
    stamps = CaptureStamps(largest_age_s=1.0)
    for second in range(3):
        stamps.on_report(90_000 * second, ntp(1000.0 + second + offset_s))
        came_ns = (1000 + second) * NS
        assert stamp_of(stamps, 90_000 * second, came_ns) == pytest.approx(came_ns, abs=1000)
    assert stamps.captured == 0
    late = stamps.stamp(90_000 * 3, arrival_ns=round(1003.7 * NS), steady_ns=round(103.7 * NS))
    assert late.late_s == pytest.approx(0.7, abs=0.01) and late.stamp_ns == pytest.approx(
        1003 * NS, abs=NS // 100
    )


@pytest.mark.parametrize("ticks_per_frame", [9_000_000, 1_000, 0])
def test_a_sender_that_counts_frames_instead_of_time_is_never_taken_for_late(ticks_per_frame: int) -> None:
    """The original's Python senders step their RTP clock by 100 s a frame."""
    stamps = CaptureStamps(largest_age_s=1.0)
    for frame in range(300):
        now_s = 1000 + frame / 30
        rtp = (5 + ticks_per_frame * frame) % (1 << 32)
        if frame % 30 == 29:
            stamps.on_report(rtp, ntp(now_s))
        stamped = stamps.stamp(rtp, arrival_ns=round(now_s * NS), steady_ns=round(now_s * NS))
        assert stamped.late_s == 0.0
        assert abs(stamped.stamp_ns - now_s * NS) <= NS, frame


def test_a_senders_clock_may_step_without_its_pictures_being_late_for_ever() -> None:
    stamps = CaptureStamps(largest_age_s=1.0)
    for second in range(10):
        stamps.on_report(90_000 * second, ntp(1000.0 + second - (2.0 if second >= 5 else 0.0)))
        stamped = stamps.stamp(
            90_000 * second + 900, arrival_ns=(1000 + second) * NS + NS // 50, steady_ns=(100 + second) * NS
        )
        assert stamped.late_s < 0.05


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(0.0, 0.1), st.booleans()), max_size=60))
def test_stamps_rise_while_clocks_run_and_never_lie_ahead(steps: list[tuple[int, float, bool]]) -> None:
    stamps, now_ns, last = CaptureStamps(largest_age_s=100.0), 1000 * NS, 0
    for rtp, step_s, reports in steps:
        now_ns += round(step_s * NS) + 1000
        if reports:
            stamps.on_report(rtp, ntp(now_ns / NS - step_s))
        stamp = stamp_of(stamps, rtp, now_ns)
        assert last < stamp <= now_ns + NS // 10_000
        last = stamp


def encoded(mime: str, width: int, height: int) -> bytes:
    """A key frame as it comes out of RTP packets."""
    return encoded_stream(mime, 1, keys={0}, width=width, height=height)[0]


def encoded_stream(
    mime: str, count: int, *, keys: set[int], width: int = 320, height: int = 240
) -> list[bytes]:
    import av
    from aiortc.codecs import depayload, get_encoder
    from aiortc.rtcrtpparameters import RTCRtpCodecParameters

    codec = RTCRtpCodecParameters(mimeType=mime, clockRate=90_000, payloadType=97)
    encoder, stream = get_encoder(codec), []
    for number in range(count):
        pixels = np.full((height, width, 3), 90 + number, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame, number in keys)
        stream.append(b"".join(depayload(codec, payload) for payload in payloads))
    return stream


@pytest.mark.parametrize(("mime", "name"), [("video/VP8", "vp8"), ("video/H264", "h264")])
def test_a_picture_beyond_the_bound_is_refused_before_memory_is_taken(mime: str, name: str) -> None:
    import av

    small, large = encoded(mime, 320, 240), encoded(mime, 640, 480)
    decoder = BoundedDecoder(name, 320 * 240)
    frames = decoder.decode(EncodedFrame(small, 0))
    assert [(frame.width, frame.height) for frame in frames] == [(320, 240)]
    with pytest.raises(av.FFmpegError):
        BoundedDecoder(name, 320 * 240).decode(EncodedFrame(large, 0))
    for garbage in (b"", b"\x00", bytes(range(256)) * 8):
        try:
            assert BoundedDecoder(name, 320 * 240).decode(EncodedFrame(garbage, 0)) == []
        except av.FFmpegError:
            continue


@pytest.mark.parametrize(("mime", "name"), [("video/VP8", "vp8"), ("video/H264", "h264")])
def test_after_a_loss_nothing_is_shown_until_a_key_frame(mime: str, name: str) -> None:
    import av

    # x264 may make a key frame by itself from the 25th on.
    stream = encoded_stream(mime, 24, keys={0, 20})
    assert [number for number, data in enumerate(stream) if is_key_frame(name, data)] == [0, 20]
    decoder = BoundedDecoder(name, 320 * 240)
    shown, asked = [], []
    for number, data in enumerate(stream):
        if number in {3, 4}:
            continue
        try:
            if decoder.decode(EncodedFrame(data, number, is_after_loss=number == 5)):
                shown.append(number)
        except av.FFmpegError:
            asked.append(number)
    assert shown == [0, 1, 2, 20, 21, 22, 23]
    assert asked == [19], "a request for a key frame may be lost too"


def test_the_bitrate_is_the_rooms_or_less_when_the_network_takes_less() -> None:
    class Encoder:
        """Private names as aiortc's encoders have them."""

        def encode(self, frame: object, force_keyframe: bool) -> tuple[list[bytes], int]:
            return [str(self.__dict__["_Encoder__target_bitrate"]).encode()], 0

    paced = PacedEncoder(Encoder(), 4_000_000)
    assert paced.encode(None) == ([b"4000000"], 0), "above aiortc's own 1.5 Mbit/s"
    paced.target_bitrate = 700_000
    assert paced.encode(None) == ([b"700000"], 0)
    paced.ceiling = 300_000
    assert paced.encode(None) == ([b"300000"], 0)
    paced.target_bitrate = 10
    assert paced.encode(None) == ([b"100000"], 0)


def test_aiortc_has_the_names_that_are_used_of_it() -> None:
    import aioice.ice
    import aiortc.rtcrtpreceiver
    from aiortc.codecs.h264 import H264Encoder
    from aiortc.codecs.vpx import Vp8Encoder

    assert aiortc.__version__ == "1.16.0", "look at rooms/webrtc_aiortc.py before another version is pinned"
    assert callable(aiortc.rtcrtpreceiver.get_decoder) and callable(aioice.ice.get_host_addresses)
    for kind in (Vp8Encoder, H264Encoder):
        assert f"_{kind.__name__}__target_bitrate" in vars(kind())
    source = Path(aiortc.rtcrtpreceiver.__file__).read_text()
    for name in ("self.__jitter_buffer.add(", "self.__decoder_queue.put(", "self.__timestamp_mapper.map("):
        assert name in source


VP8 = VideoConfig()


@pytest.mark.parametrize(
    ("facts", "role"),
    [
        (OfferFacts(VP8, False, True, True, False), OfferRole.TAKE),
        (OfferFacts(VP8, False, True, True, True), OfferRole.SILENT),
        (OfferFacts(VP8, True, True, True, False), OfferRole.TAKE),
        (OfferFacts(VP8, False, True, False, False), OfferRole.EMPTY),
        (OfferFacts(VP8, False, False, True, False), OfferRole.REFUSE),
        (OfferFacts(VP8, True, False, True, False), OfferRole.REFUSE),
        (OfferFacts(VideoConfig(relay="p2p"), False, True, True, False), OfferRole.PASS_ON),
        (OfferFacts(VideoConfig(relay="p2p"), False, False, True, False), OfferRole.REFUSE),
        (OfferFacts(VideoConfig(relay="p2p"), True, True, True, False), OfferRole.TAKE),
        (OfferFacts(VideoConfig(encoding="jpeg"), True, True, True, False), OfferRole.REFUSE),
        (OfferFacts(VideoConfig(encoding="jpeg", relay="p2p"), False, True, True, False), OfferRole.PASS_ON),
    ],
)  # fmt: skip
def test_what_becomes_of_an_offer(facts: OfferFacts, role: OfferRole) -> None:
    assert role_of_offer(facts) is role


def test_who_is_shown_and_who_is_asked() -> None:
    assert is_shown_by_server(VP8, has_carrier=True, has_ros_source=False, is_passed=False)
    assert is_shown_by_server(VP8, has_carrier=False, has_ros_source=True, is_passed=False)
    assert not is_shown_by_server(VP8, has_carrier=False, has_ros_source=False, is_passed=False)
    assert not is_shown_by_server(VP8, has_carrier=True, has_ros_source=True, is_passed=True)
    assert is_arena_wanted(VP8, subscribers=0, watchers=1) and is_arena_wanted(VP8, subscribers=1, watchers=0)
    assert not is_arena_wanted(VP8, subscribers=0, watchers=0)
    assert not is_arena_wanted(VideoConfig(encoding="jpeg"), subscribers=1, watchers=1)


def test_descriptions_are_touched_only_where_they_must_be() -> None:
    sdp = "v=0\r\nm=audio 9 x 0\r\nc=IN IP4 0.0.0.0\r\nm=video 9 x 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n"
    assert _with_bandwidth(sdp, 750_000) == sdp.replace("0.0.0.0\r\na=mid", "0.0.0.0\r\nb=AS:750\r\na=mid")
    hidden = "a=candidate:1 1 udp 2113937151 8a1d-6c4f.local 50000 typ host\r\n"
    plain = "a=candidate:1 1 udp 2113937151 192.168.1.5 50000 typ host\r\n"
    assert _resolvable(sdp + hidden + plain) == sdp + plain
