# SPDX-License-Identifier: Apache-2.0
"""Rooms of the media process with real WebRTC clients, written like upstream's, and no ROS."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from lerobot_arena.core.room import ANSWER, CLOSE, ERROR, ICE, OFFER, STATE
from lerobot_arena.testing.media_rig import ROOM, HubRig, OldConsumer, OldProducer, plain

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


@pytest.fixture
async def rig() -> AsyncIterator[HubRig]:
    rig = HubRig()
    yield rig
    await rig.hub.close()


async def until(what: str, done: object, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"waited for: {what}"
        await asyncio.sleep(0.02)  # how often it looks; aiortc and codecs have their own time


async def test_a_producer_is_asked_when_a_node_listens_and_its_pictures_reach_the_topic(rig: HubRig) -> None:
    rig.topics.listeners[ROOM] = 1
    rig.open()
    rig.join("robot", "producer")
    asked = await rig.heard(STATE, "robot", type="participant_joined")
    assert asked["participant_id"] == "arena" and asked["role"] == "consumer"
    robot = OldProducer(rig, "robot", lambda _: plain(RED))
    answer = await robot.offer("arena")
    assert "a=candidate" in answer and "127.0.0.1" in answer
    await until("pictures", lambda: len(rig.topics.published) > 20)
    topic, picture, _, _ = rig.topics.published[-1]
    assert topic == ROOM and picture.shape == (240, 320, 3)
    assert np.abs(picture[120, 80].astype(int) - np.array(RED)).max() < 40
    stamps = [stamp for _, _, stamp, _ in rig.topics.published]
    assert stamps == sorted(set(stamps)), "always rising"
    assert all(0 <= came - stamp < 5e9 for _, _, stamp, came in rig.topics.published)
    await robot.close()


async def test_nobody_is_asked_for_pictures_that_nobody_wants(rig: HubRig) -> None:
    rig.open()
    rig.join("robot", "producer")
    await asyncio.sleep(0.7)  # longer than the room takes to look around
    assert rig.said == []
    rig.topics.listeners[ROOM] = 1
    await rig.heard(STATE, "robot", type="participant_joined")


async def test_the_server_stands_between_uploads_once_and_shows_to_each_in_the_producers_name(
    rig: HubRig,
) -> None:
    rig.open(config={"resolution": {"width": 160, "height": 160}})
    rig.join("robot", "producer")
    rig.join("ann", "consumer")
    rig.join("bob", "consumer")
    robot = OldProducer(rig, "robot", lambda _: plain(GREEN))
    first = await robot.offer("ann")
    ann, bob = OldConsumer(rig, "ann"), OldConsumer(rig, "bob")
    second = await robot.offer("bob")
    assert "a=recvonly" in first and "a=inactive" in second and "a=recvonly" not in second
    await ann.accept()
    await bob.accept()
    assert ann.from_producer == bob.from_producer == "robot"
    seen = await ann.sees(GREEN)
    await bob.sees(GREEN)
    assert seen.shape == (160, 160, 3), "the room's own size"
    assert seen[5, 80].max() < 30 and seen[155, 80].max() < 30, "the aspect is kept, the rest is black"
    assert rig.hub.peers == 4
    rig.drop("ann")
    await until("the connections of ann to be closed", lambda: rig.hub.peers == 2)
    # The pictures came in ann's name: the producer is asked for them anew.
    rig.said.clear()
    await rig.heard(STATE, "robot", type="participant_joined")
    await robot.offer("arena")
    before = len(bob.pts)
    await until("bob to see more", lambda: len(bob.pts) > before + 5)
    for client in (robot, ann, bob):
        await client.close()  # type: ignore[attr-defined]


async def test_a_ros_camera_is_shown_with_true_rtp_times_and_followed_only_while_watched(rig: HubRig) -> None:
    camera = "/arm/cameras/front/image_raw"
    rig.topics.cameras[camera] = 1
    rig.open(image_topic=camera, config={"encoding": "h264", "framerate": 20})
    rig.join("page", "consumer")
    page = OldConsumer(rig, "page")
    offer = await page.accept()
    assert page.from_producer == "arena" and "H264" in offer and "VP8" not in offer
    await until("the camera to be followed", lambda: camera in rig.topics.followed)
    began = time.monotonic()
    while time.monotonic() - began < 3.0:
        rig.topics.followed[camera](plain(BLUE, width=640, height=480))
        await asyncio.sleep(0.02)  # a camera at 50 Hz
    picture = await page.sees(BLUE)
    assert picture.shape == (480, 640, 3)
    steps = np.diff(np.array(page.pts[5:])) / 90_000
    assert np.median(steps) >= 0.04, "20 Hz at most, in the 90 kHz clock"
    rig.drop("page")
    await until("nobody to follow", lambda: not rig.topics.followed)
    await page.close()


async def test_a_config_update_changes_a_running_stream(rig: HubRig) -> None:
    rig.topics.cameras[ROOM] = 1
    rig.open()
    rig.join("page", "consumer")
    page = OldConsumer(rig, "page")
    await page.accept()
    await until("followed", lambda: ROOM in rig.topics.followed)
    feeding = asyncio.ensure_future(_feed(rig))
    await page.sees(RED)
    rig.open(config={"resolution": {"width": 320, "height": 200}, "bitrate": 300_000})
    await until("the new size", lambda: page.pictures[-1].shape == (200, 320, 3))
    rig.open(config={"encoding": "h264"})
    offer = await page.accept()
    assert "H264" in offer and "VP8" not in offer, "another codec is another offer"
    feeding.cancel()
    await page.close()


async def test_the_bitrate_is_the_rooms_and_changes_with_it(rig: HubRig) -> None:
    noise = np.random.default_rng(1).integers(60, 190, (12, 240, 320, 3), np.uint8)
    rig.topics.cameras[ROOM] = 1
    rig.open(config={"bitrate": 4_000_000, "resolution": {"width": 320, "height": 240}})
    rig.join("page", "consumer")
    page = OldConsumer(rig, "page")
    await page.accept()
    await until("followed", lambda: ROOM in rig.topics.followed)
    feeding = asyncio.ensure_future(_feed(rig, noise))
    try:
        high = await _bits_of_thirty(page)
        rig.open(config={"bitrate": 300_000, "resolution": {"width": 320, "height": 240}})
        low = await _bits_of_thirty(page)
    finally:
        feeding.cancel()
        await page.close()
    assert high > 1_700_000, "beyond aiortc's own bound"
    assert low < 900_000, "noise does not pack better"


async def _bits_of_thirty(page: OldConsumer) -> float:
    """Of a second's pictures, however many of them a busy machine manages."""
    await until("pictures", lambda: len(page.pts) > 10)
    await asyncio.sleep(0.7)  # the encoder's time to settle
    counts, pictures = [], []
    for _ in range(2):
        stats = await page.connection.getStats()
        counts.append(sum(report.bytesReceived for report in stats.values() if report.type == "transport"))
        pictures.append(len(page.pts))
        await asyncio.sleep(1.5)  # so long the bytes are counted
    return float(counts[1] - counts[0]) * 8 / (pictures[1] - pictures[0]) * 30


async def _feed(rig: HubRig, pictures: np.ndarray | None = None) -> None:
    for number in itertools.count():
        if ROOM in rig.topics.followed:
            picture = plain(RED) if pictures is None else pictures[number % len(pictures)]
            rig.topics.followed[ROOM](picture)
        await asyncio.sleep(0.03)  # a camera at 33 Hz


async def test_watchers_see_stand_ins_and_are_told_while_the_topic_stays_silent(rig: HubRig) -> None:
    rig.open(recovery_config={"recovery_policy": "freeze_last_frame", "fallback_policy": "black_screen"})
    rig.join("robot", "producer")
    rig.join("ann", "consumer")
    robot, ann = OldProducer(rig, "robot", lambda _: plain(GREEN)), OldConsumer(rig, "ann")
    await robot.offer("ann")
    await ann.accept()
    await ann.sees(GREEN)
    rig.said.clear()
    await robot.close()
    assert (await rig.heard(STATE, "", type="recovery_triggered"))["policy"] == "freeze_last_frame"
    fallback = await rig.heard(STATE, "", type="recovery_triggered")
    assert fallback["policy"] == "black_screen" and "no picture for" in fallback["reason"]
    count = len(rig.topics.published)
    await ann.sees((0, 0, 0))
    await asyncio.sleep(0.3)  # time for what must not come
    assert len(rig.topics.published) == count, "a policy must see that the camera is dead"
    await ann.close()


async def test_in_p2p_rooms_the_producer_s_offers_are_passed_on_untouched(rig: HubRig) -> None:
    rig.open(config={"relay": "p2p"})
    rig.join("robot", "producer")
    rig.join("ann", "consumer")
    rig.send(OFFER, "robot", sdp=SDP, target_consumer="ann")
    passed = await rig.heard(OFFER, "ann")
    assert passed == {"offer": {"type": "offer", "sdp": SDP}, "from_producer": "robot"}
    rig.send(ANSWER, "ann", sdp="yes", target_producer="robot")
    answer = await rig.heard(ANSWER, "robot")
    assert answer == {"answer": {"type": "answer", "sdp": "yes"}, "from_consumer": "ann"}
    candidate = {"candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host", "sdpMid": "0"}
    rig.send(ICE, "robot", candidate=candidate, target_consumer="ann")
    assert (await rig.heard(ICE, "ann"))["candidate"] == candidate
    rig.send(ICE, "ann", candidate=candidate, target_producer="robot")
    assert (await rig.heard(ICE, "robot"))["from_consumer"] == "ann"
    assert rig.hub.peers == 0
    rig.join("watcher", "consumer", media="jpeg")
    for sdp, target, code in ((SDP, "watcher", "not_webrtc"), ("m=video nonsense", "ann", "invalid_input")):
        rig.send(OFFER, "robot", sdp=sdp, target_consumer=target)
        assert (await rig.heard(ERROR, "robot"))["code"] == code
    rig.open()
    rig.send(OFFER, "robot", sdp="m=video nonsense", target_consumer="ann")
    assert "cannot be read" in (await rig.heard(ERROR, "robot"))["message"]
    assert not any(kind == OFFER for kind, _, _ in rig.said)


@pytest.mark.parametrize("is_ros_only", [False, True])
async def test_only_the_producer_s_pictures_reach_the_topic(rig: HubRig, is_ros_only: bool) -> None:
    """Also of a producer none, where only the robot side produces."""
    rig.topics.listeners[ROOM] = 1
    rig.open(is_ros_only=is_ros_only)
    rig.join("mallory", "producer" if is_ros_only else "consumer")
    rig.join("ann", "consumer")
    for target in ("arena", "ann"):
        rig.send(OFFER, "mallory", sdp=SDP, target_consumer=target)
        assert (await rig.heard(ERROR, "mallory"))["code"] == "not_producer"
    assert rig.hub.peers == 0 and not any(kind in {OFFER, ANSWER} for kind, _, _ in rig.said)
    assert rig.topics.published == []


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (OFFER, {"sdp": "m=video nonsense", "target_consumer": "arena"}, "SDP cannot be read"),
        (OFFER, {"sdp": 7, "target_consumer": "arena"}, "sdp must be text"),
        (OFFER, {"sdp": "x" * 100_000, "target_consumer": "arena"}, "too long"),
        (ANSWER, {"sdp": "v=0\r\n", "target_producer": "arena"}, "no open offer"),
        (ICE, {"candidate": "udp", "target_consumer": "arena"}, "candidate must be an object"),
    ],
)
async def test_a_bad_signal_is_told_to_whoever_sent_it(
    rig: HubRig, kind: str, payload: dict[str, object], words: str
) -> None:
    rig.open()
    rig.join("robot", "producer")
    rig.send(kind, "robot", **payload)
    said = await rig.heard(ERROR, "robot")
    assert words in said["message"] and said["code"] in {"invalid_input", "not_found"}


async def test_a_jpeg_room_refuses_webrtc_with_what_to_do(rig: HubRig) -> None:
    rig.open(config={"encoding": "jpeg"})
    rig.join("robot", "producer")
    rig.send(OFFER, "robot", sdp="v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", target_consumer="arena")
    assert "media: jpeg" in (await rig.heard(ERROR, "robot"))["message"]


async def test_connections_are_bounded_and_a_closed_room_keeps_none() -> None:
    rig = HubRig(max_peers_per_room=1)
    rig.open()
    rig.join("robot", "producer")
    robot = OldProducer(rig, "robot", lambda _: plain(RED))
    await robot.offer("arena")
    rig.join("ann", "consumer")
    said = await rig.heard(ERROR, "ann")
    assert said["code"] == "too_many"
    rig.send(CLOSE)
    await until("the room to be gone", lambda: rig.hub.rooms == 0 and rig.hub.peers == 0)
    assert not rig.topics.advertised
    await robot.close()
    await rig.hub.close()
