# SPDX-License-Identifier: Apache-2.0
"""What a client may do to the media process without anybody else noticing."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lerobot_arena.core.room import ANSWER, CLOSE, ERROR, ICE, OFFER, OPEN, STATE, WANT, MediaSignal
from lerobot_arena.rooms import media_room, webrtc_peer
from lerobot_arena.rooms.webrtc_aiortc import BoundedDecoder
from lerobot_arena.rooms.webrtc_stamps import CaptureStamps, Stamped
from lerobot_arena.testing.media_rig import ROOM, HubRig, OldConsumer, OldProducer, plain

RED = (200, 30, 30)


@pytest.fixture
async def rig() -> AsyncIterator[HubRig]:
    rig = HubRig(max_peers_per_room=6)
    yield rig
    await rig.hub.close()


async def until(what: str, done: Any, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"waited for: {what}"
        await asyncio.sleep(0.02)  # how often it looks; aiortc and codecs have their own time


async def offered_sdp() -> str:
    from aiortc import RTCConfiguration, RTCPeerConnection
    from aiortc.mediastreams import VideoStreamTrack

    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(VideoStreamTrack())
    connection.createDataChannel("c")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = str(connection.localDescription.sdp)
    await connection.close()
    return sdp


def broken(sdp: str, rng: random.Random) -> str:
    """The description with some lines lost, repeated, swapped, cut, or with other figures."""
    lines = sdp.split("\r\n")
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(lines))
        how = rng.randrange(6)
        if how == 0:
            del lines[place]
        elif how == 1:
            lines.insert(rng.randrange(len(lines)), lines[place])
        elif how == 2:
            lines[place] = lines[place][: rng.randrange(len(lines[place]) + 1)]
        elif how == 3:
            lines[place] = lines[place].replace(" ", "", 1)
        elif how == 4:
            digit = str(rng.randrange(10))
            lines[place] = lines[place].replace(digit, str(rng.choice([-1, 2**40, "x", ""])))
        else:
            lines[place] += rng.choice([" \x00", "é" * 50, "=" * 300, ";a=b", " 1 2 3"])
        lines = lines or [""]
    return "\r\n".join(lines)


async def test_sixty_broken_offers_are_answered_or_refused_and_the_room_goes_on(
    rig: HubRig,
) -> None:
    rng, sdp = random.Random(4), await offered_sdp()
    rig.open()
    rig.join("robot", "producer")
    for _ in range(60):
        rig.send(OFFER, "robot", sdp=broken(sdp, rng), target_consumer="arena")
    await until("each to be dealt with", lambda: sum(to == "robot" for _, to, _ in rig.said) >= 60, 60)
    kinds = {kind for kind, to, _ in rig.said if to == "robot"}
    assert ERROR in kinds and rig.hub.peers <= 1, "one connection per target, however often it is offered"
    rig.said.clear()
    rig.topics.listeners[ROOM] = 1
    robot = OldProducer(rig, "robot", lambda _: plain(RED))
    await robot.offer("arena")
    await until("pictures", lambda: len(rig.topics.published) > 3)
    await robot.close()


async def test_signals_of_no_room_of_a_wrong_kind_or_without_sense_do_nothing(rig: HubRig) -> None:
    rig.send(OFFER, "robot", room="/rooms/none/here", sdp="v=0", target_consumer="arena")
    for payload in ("[1, 2", '{"config": {"encoding": "vp9"}}', '{"config": 5}'):
        rig.hub.on_signal(MediaSignal(ROOM, OPEN, "", payload))
        await rig.heard(ERROR, "")
    rig.hub.on_signal(MediaSignal(ROOM, "dance", "robot", "{}"))
    assert rig.said == []
    rig.open()
    rig.join("robot", "producer")
    for candidate in (
        {"candidate": "candidate:x"},
        {"candidate": "a b c", "sdpMid": 5},
        {},
        {"candidate": None},
    ):
        rig.send(ICE, "robot", candidate=candidate, target_consumer="arena")
    rig.hub.on_signal(MediaSignal(ROOM, WANT, "ann", '{"role": 7, "media": []}'))
    rig.topics.listeners[ROOM] = 1
    await rig.heard(STATE, "robot", type="participant_joined")


async def test_rooms_are_bounded_and_a_new_bridge_begins_with_none() -> None:
    rig = HubRig(max_rooms=2)
    for number in range(3):
        rig.open(room=f"/rooms/ws/{number}")
    await until("two rooms", lambda: rig.hub.rooms == 2)
    assert (await rig.heard(ERROR, ""))["code"] == "too_many"
    rig.hub.on_signal(MediaSignal("/rooms/ws/9", OPEN, boot_id="another"))
    await until("only the new one's", lambda: rig.hub.rooms == 1)
    rig.send(CLOSE, room="/rooms/ws/9")
    await rig.hub.close()


async def test_who_floods_the_decoder_is_ended_with_the_reason_and_others_see_no_gap(
    rig: HubRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A decoder that is much slower than the pictures come.
    decode = BoundedDecoder.decode
    monkeypatch.setattr(BoundedDecoder, "decode", lambda self, frame: time.sleep(0.1) or decode(self, frame))
    monkeypatch.setattr(webrtc_peer, "MOST_WAITING_FRAMES", 20)
    rig.open()
    rig.join("robot", "producer")
    robot = OldProducer(rig, "robot", lambda _: plain(RED, width=64, height=64))
    began = time.monotonic()
    await robot.offer("arena", rate_hz=60)
    said = await rig.heard(ERROR, "robot", timeout_s=30)
    assert said["code"] == "media_failed" and "faster than they can be decoded" in said["message"]
    await until("it to be closed", lambda: rig.hub.peers == 0, 10)
    assert time.monotonic() - began < 20
    await robot.close()


async def test_a_connection_takes_so_many_candidates_and_no_more(rig: HubRig) -> None:
    rig.open()
    rig.join("robot", "producer")
    rig.send(OFFER, "robot", sdp=await offered_sdp(), target_consumer="arena")
    await rig.heard(ANSWER, "robot")
    for number in range(webrtc_peer.MOST_CANDIDATES + 1):
        text = f"candidate:{number} 1 udp 1 127.0.0.1 {9000 + number} typ host"
        rig.send(ICE, "robot", candidate={"candidate": text, "sdpMid": "0"}, target_consumer="arena")
    said = await rig.heard(ERROR, "robot")
    assert "64 candidates" in said["message"]


async def test_a_peer_that_never_connects_is_closed_with_what_to_do(
    rig: HubRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc_peer, "CONNECT_TIMEOUT_S", 0.5)
    rig.open()
    rig.join("robot", "producer")
    rig.send(OFFER, "robot", sdp=await offered_sdp(), target_consumer="arena")
    await rig.heard(ANSWER, "robot")
    assert "TURN" in (await rig.heard(ERROR, "robot"))["message"]
    await until("it to be closed", lambda: rig.hub.peers == 0)


async def test_a_producer_rests_when_nobody_wants_its_pictures_and_is_asked_again(
    rig: HubRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_room, "_UNWANTED_S", 0.3)
    rig.topics.listeners[ROOM] = 1
    rig.open()
    rig.join("robot", "producer")
    await rig.heard(STATE, "robot", type="participant_joined")
    robot = OldProducer(rig, "robot", lambda _: plain(RED))
    await robot.offer("arena")
    await until("pictures", lambda: len(rig.topics.published) > 3)
    rig.topics.listeners[ROOM] = 0
    left = await rig.heard(STATE, "robot", type="participant_left")
    assert left["participant_id"] == "arena" and rig.hub.peers == 0
    rig.join("ann", "consumer")
    rig.topics.listeners[ROOM] = 1
    await rig.heard(STATE, "robot", type="participant_joined")
    await robot.close()


async def test_a_picture_that_was_long_under_way_is_shown_but_not_published(
    rig: HubRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CaptureStamps, "stamp", lambda self, rtp, arrival_ns, steady_ns: Stamped(arrival_ns, late_s=0.7)
    )
    rig.topics.listeners[ROOM] = 1
    rig.open()
    rig.join("robot", "producer")
    rig.join("ann", "consumer")
    robot, ann = OldProducer(rig, "robot", lambda _: plain(RED)), OldConsumer(rig, "ann")
    await robot.offer("ann")
    await ann.accept()
    await ann.sees(RED)
    assert rig.topics.published == [], "a policy would take it for new"
    rig.open(max_age_s=1.0)
    await until("them to be published", lambda: rig.topics.published)
    await robot.close()
    await ann.close()


async def test_a_watcher_that_hangs_up_is_offered_again_while_it_is_in_the_room(rig: HubRig) -> None:
    rig.topics.cameras[ROOM] = 1
    rig.open()
    rig.join("ann", "consumer")
    ann = OldConsumer(rig, "ann")
    await ann.accept()
    await until("to be connected", lambda: ann.connection.connectionState == "connected")
    await ann.close()
    await ann.accept(timeout_s=20)
    await ann.close()
