# SPDX-License-Identifier: Apache-2.0
"""Signalling with the media process: what it is told of rooms, what clients get of it, and what happens without it."""

import json
from typing import Any

import pytest

from lerobot_arena.bridge.rooms_media import RoomMedia
from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.room import MediaSignal
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.room import Place, Tie
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.rooms.video_config import VideoConfig
from lerobot_arena.rooms.wire import ConfigSaid, Told
from lerobot_arena.testing.bridge_fake_rooms import FakeMedia
from lerobot_arena.testing.room_rig import enter, read

TOPIC = "/rooms/w/front"
ADA = Principal("ada", frozenset({"rooms:join"}), via="login")
OFFER = {"type": "offer", "sdp": "v=0", "target_consumer": "c"}


class Scene:
    def __init__(self, *, beats: bool = True, relay: str = "server", tie: Tie | None = None) -> None:
        self.clock, self.link = ManualClock(), FakeMedia()
        self.media = RoomMedia(self.link, self.clock)
        settings = VideoSettings(config=VideoConfig(relay=relay))
        self.room = VideoRoom(
            Place("video", "w", "front"), self.clock, owner="ada", settings=settings, tie=tie
        )
        self.media.prepare(self.room)
        if beats:
            self.link.beat()

    def enter(self, name: str, role: str = "consumer", **more: Any) -> Member:
        member = enter(self.room, name, role, **more)
        self.media.joined(self.room, member, is_resumed=False)
        read(member)
        return member

    def leave(self, member: Member) -> None:
        self.room.leave(member)
        self.media.left(self.room, member)

    def sent(self) -> list[tuple[str, str, dict[str, Any]]]:
        said = [(signal.kind, signal.participant, json.loads(signal.payload)) for signal in self.link.sent]
        assert all(signal.room_topic == TOPIC for signal in self.link.sent)
        self.link.sent.clear()
        return said

    def refused(self, client: str, message: dict[str, Any], caller: Principal = ADA) -> str:
        with pytest.raises(ArenaError) as caught:
            self.media.post(self.room, client, message, caller)
        return caught.value.code


def test_the_media_process_learns_of_a_room_with_its_first_member_and_of_its_end_with_the_last() -> None:
    scene = Scene(
        tie=Tie("s", "arm", image_topic="/arm/cameras/front/image_raw", is_ros_only=True, is_arm=True)
    )
    first = scene.enter("a")
    opened, wanted = scene.sent()
    assert opened[:2] == ("open", "")
    assert opened[2].items() >= {
        "image_topic": "/arm/cameras/front/image_raw", "is_ros_only": True, "relay": "server"
    }.items()  # fmt: skip
    assert opened[2]["config"]["encoding"] == "vp8" and "recovery_policy" in opened[2]["recovery_config"]
    assert (
        wanted[:2] == ("want", "a") and wanted[2].items() >= {"role": "consumer", "media": "webrtc"}.items()
    )
    second = scene.enter("b", media="jpeg")
    assert [said[:2] for said in scene.sent()] == [("want", "b")]
    scene.leave(second)
    scene.leave(first)
    assert [said[:2] for said in scene.sent()] == [("drop", "b"), ("drop", "a"), ("close", "")]


def test_who_resumes_is_dropped_first_because_its_peers_are_gone() -> None:
    scene = Scene()
    old = scene.enter("p", "producer")
    new = enter(scene.room, "p", "producer", resume=old.token)
    scene.sent()
    scene.media.joined(scene.room, new, is_resumed=True)
    assert [said[:2] for said in scene.sent()] == [("drop", "p"), ("want", "p")]


def test_a_change_of_config_and_a_stream_are_told() -> None:
    scene = Scene()
    producer = scene.enter("p", "producer")
    scene.sent()
    scene.room.configure(producer, ConfigSaid({"framerate": 10}))
    (opened,) = scene.sent()
    assert opened[0] == "open" and opened[2]["config"]["framerate"] == 10
    scene.media.note_told(scene.room, producer, Told("stream_started"))
    (wanted,) = scene.sent()
    assert wanted[:2] == ("want", "p") and wanted[2]["streaming"] is True


def test_another_media_process_is_told_everything_again() -> None:
    scene = Scene()
    scene.enter("p", "producer")
    scene.enter("c")
    scene.room.arena_roles.add("consumer")
    scene.sent()
    scene.link.beat()
    assert scene.sent() == []
    scene.link.boot_id = "media-2"
    scene.link.beat()
    assert [said[:2] for said in scene.sent()] == [("open", ""), ("want", "p"), ("want", "c")]
    assert not scene.room.arena_roles, "its peers died with it"
    scene.clock.advance(5.0)
    scene.link.beat()
    assert [said[0] for said in scene.sent()] == ["open", "want", "want"]


def test_signals_go_by_way_of_the_media_process_while_it_lives() -> None:
    scene = Scene()
    scene.enter("p", "producer")
    consumer = scene.enter("c")
    scene.sent()
    scene.media.post(scene.room, "p", OFFER, ADA)
    assert scene.sent() == [("offer", "p", OFFER)]
    assert read(consumer) == []
    scene.media.post(scene.room, "p", {**OFFER, "target_consumer": "arena"}, ADA)
    scene.media.post(scene.room, "c", {"type": "ice", "candidate": {"candidate": "x"}}, ADA)
    assert [said[:2] for said in scene.sent()] == [("offer", "p"), ("ice", "c")]


@pytest.mark.parametrize("how", [{"beats": False}, {"relay": "p2p"}])
def test_without_it_or_by_wish_signals_go_between_the_clients(how: dict[str, Any]) -> None:
    scene = Scene(**how)
    scene.enter("p", "producer")
    consumer = scene.enter("c")
    scene.sent()
    scene.media.post(scene.room, "p", OFFER, ADA)
    assert scene.sent() == []
    (offer,) = read(consumer)
    assert (offer["offer"], offer["from_producer"]) == ({"type": "offer", "sdp": "v=0"}, "p")


def test_nobody_speaks_in_another_s_name() -> None:
    scene = Scene()
    scene.enter("p", "producer")
    scene.enter("c", who="bob")
    bob = Principal("bob", frozenset({"rooms:join"}), via="login")
    assert scene.refused("p", OFFER, bob) == "not_yours"
    assert scene.refused("c", {"type": "answer", "sdp": "x", "target_producer": "p"}) == "not_yours"
    assert scene.refused("ghost", OFFER) == "no_such_participant"
    big = {"type": "ice", "candidate": {"candidate": "x" * 6000}, "target_consumer": "c"}
    assert scene.refused("p", big) == "candidate_invalid"


@pytest.mark.parametrize("how", [{}, {"beats": False}, {"relay": "p2p"}])
def test_a_producer_offers_and_consumers_answer(how: dict[str, Any]) -> None:
    scene = Scene(**how)
    scene.enter("p", "producer")
    consumer = scene.enter("c")
    scene.sent()
    for target in ("c", "arena"):
        assert scene.refused("c", {**OFFER, "target_consumer": target}) == "not_producer"
    assert scene.refused("p", {"type": "answer", "sdp": "v=0", "target_producer": "p"}) == "not_consumer"
    assert scene.sent() == [] and read(consumer) == []


@pytest.mark.parametrize("how", [{"beats": False}, {"relay": "p2p"}])
def test_nothing_of_webrtc_is_passed_on_to_a_watcher_of_jpeg(how: dict[str, Any]) -> None:
    scene = Scene(**how)
    scene.enter("p", "producer")
    watcher = scene.enter("c", media="jpeg")
    candidate = {"type": "ice", "candidate": {"candidate": "x"}, "target_consumer": "c"}
    for message in (OFFER, candidate):
        assert scene.refused("p", message) == "not_webrtc"
    assert read(watcher) == []


@pytest.mark.parametrize("how", [{}, {"beats": False}])
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "ice", "candidate": {"x": 10**24}}, "candidate_invalid"),
        ({"type": "ice", "candidate": {"candidate": "\ud800"}}, "candidate_invalid"),
        ({"type": "ice", "candidate": {"candidate": "x" * 6000}}, "candidate_invalid"),
        ({"type": "offer", "sdp": "\ud800"}, "field_invalid"),
        ({"type": "offer", "sdp": "v=0" + "x" * 200_000}, "field_invalid"),
    ],
)
def test_what_no_reader_takes_is_refused(how: dict[str, Any], message: dict[str, Any], code: str) -> None:
    scene = Scene(**how)
    scene.enter("p", "producer")
    consumer = scene.enter("c")
    scene.sent()
    assert scene.refused("p", {**message, "target_consumer": "c"}) == code
    assert scene.sent() == [] and read(consumer) == []


def test_what_the_media_process_says_reaches_whom_it_is_for() -> None:
    scene = Scene()
    producer, consumer = scene.enter("p", "producer"), scene.enter("c")
    scene.link.say(TOPIC, "offer", "c", {"offer": {"type": "offer", "sdp": "v=0"}, "from_producer": "arena"})
    (offer,) = read(consumer)
    assert (offer["type"], offer["from_producer"], offer["offer"]["sdp"]) == ("webrtc_offer", "arena", "v=0")
    scene.link.say(TOPIC, "answer", "p", {"answer": {"type": "answer", "sdp": "v=0"}, "from_consumer": "c"})
    assert read(producer)[-1]["type"] == "webrtc_answer"
    scene.link.say(TOPIC, "ice", "c", {"candidate": {"candidate": "x"}, "from_producer": "p"})
    assert (
        read(consumer)[-1].items()
        >= {"type": "webrtc_ice", "from_producer": "p", "from_consumer": None}.items()
    )
    scene.link.say(TOPIC, "error", "p", {"code": "sdp_unreadable", "message": "That is no SDP."})
    assert read(producer)[-1].items() >= {"type": "error", "code": "sdp_unreadable"}.items()
    event = {"type": "recovery_triggered", "policy": "black_screen", "reason": "frame_timeout"}
    scene.link.say(TOPIC, "state", "", event)
    for member in (producer, consumer):
        assert read(member)[-1].items() >= event.items()


def test_the_server_s_own_part_shows_among_the_participants() -> None:
    scene = Scene()
    producer = scene.enter("p", "producer")
    joined = {"type": "participant_joined", "room_id": "front", "participant_id": "arena", "role": "consumer"}
    scene.link.say(TOPIC, "state", "p", joined)
    assert read(producer)[-1]["participant_id"] == "arena"
    assert scene.room.participants()["consumers"] == ["arena"]
    scene.link.say(TOPIC, "state", "p", {**joined, "type": "participant_left"})
    assert scene.room.participants()["consumers"] == []


@pytest.mark.parametrize(
    "said",
    [
        MediaSignal(TOPIC, "offer", "c", "no json"),
        MediaSignal(TOPIC, "offer", "c", "[]"),
        MediaSignal(TOPIC, "dance", "c", "{}"),
        MediaSignal(TOPIC, "state", "", '{"type":"emergency_stop"}'),
        MediaSignal(TOPIC, "state", "", '{"type":"joint_update"}'),
        MediaSignal("/rooms/w/other", "offer", "c", '{"offer":{}}'),
        MediaSignal(TOPIC, "offer", "gone", '{"offer":{}}'),
    ],
)
def test_what_is_nothing_for_clients_reaches_none(said: MediaSignal) -> None:
    scene = Scene()
    consumer = scene.enter("c")
    scene.media.on_signal(said)
    assert read(consumer) == []
