# SPDX-License-Identifier: Apache-2.0
"""A video room: its events go to the others, its pictures to watchers and ROS, and its config is obeyed."""

import cv2
import numpy as np
import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.rooms.jpeg import pack_v1, pack_v3, read_frame
from lerobot_arena.rooms.room import Place
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.rooms.video_config import VideoConfig
from lerobot_arena.rooms.wire import ConfigSaid, Told
from lerobot_arena.testing.room_rig import enter, read


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return bytes(cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1])


class Scene:
    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock()
        self.room = VideoRoom(
            Place("video", "w", "front"), self.clock, owner="ada", settings=VideoSettings(**settings)
        )
        self.to_ros: list[tuple[bytes, int]] = []
        self.room.to_ros = lambda picture, stamp_ns: self.to_ros.append((picture, stamp_ns))
        self.producer = enter(self.room, "p", "producer", media="jpeg")
        self.watcher = enter(self.room, "v1", media="jpeg")
        self.precise = enter(self.room, "v3", media="jpeg", frames="v3")
        self.viewer = enter(self.room, "rtc")
        for member in self.room.members.values():
            read(member)

    def frame(self, data: bytes, wait_s: float = 0.1) -> None:
        self.room.frame(self.producer, data)
        self.clock.advance(wait_s)


def test_a_picture_goes_to_watchers_in_their_own_format_and_to_ros_with_its_capture() -> None:
    scene, picture = Scene(), jpeg()
    scene.room.frame(scene.producer, pack_v3("x", picture, seq=5, stamp_mono_ns=1_000, age_s=0.03))
    assert scene.to_ros == [(picture, scene.clock.wall_ns() - 30_000_000)]
    assert read(scene.watcher) == [pack_v1("front", picture)]
    (packed,) = read(scene.precise)
    frame = read_frame(packed)
    assert (frame.jpeg, frame.seq, frame.stamp_mono_ns, frame.age_s) == (picture, 1, 1_000, 0.03)
    assert read(scene.viewer) == [] == read(scene.producer)


def test_pictures_that_queued_up_are_refused() -> None:
    scene, picture = Scene(max_age_s=0.5), jpeg()
    scene.frame(pack_v3("x", picture, seq=1, stamp_mono_ns=1_000_000_000, age_s=0.0), wait_s=1.0)
    scene.frame(pack_v3("x", picture, seq=2, stamp_mono_ns=1_100_000_000, age_s=0.0))
    scene.frame(pack_v3("x", picture, seq=3, stamp_mono_ns=0, age_s=0.6))
    assert [(error["code"], error["count"]) for error in read(scene.producer)] == [("stale", 2)]
    assert len(scene.to_ros) == 1


def test_a_size_that_was_asked_for_is_the_largest() -> None:
    scene = Scene(config=VideoConfig(width=64, height=48), has_size=True)
    scene.frame(pack_v1("x", jpeg(64, 48)))
    scene.frame(pack_v1("x", jpeg(65, 48)))
    assert [error["code"] for error in read(scene.producer)] == ["frame_size"]
    scene.room.configure(scene.producer, ConfigSaid({"resolution": {"width": 128, "height": 96}}))
    scene.frame(pack_v1("x", jpeg(128, 96)))
    assert read(scene.producer) == [] and len(scene.to_ros) == 2
    free = Scene()
    free.frame(pack_v1("x", jpeg(1280, 720)))
    free.frame(pack_v1("x", jpeg(4000, 16)))
    assert [error["code"] for error in read(free.producer)] == ["frame_size"], "the server's own limit"


def test_a_framerate_that_was_asked_for_thins_what_comes_faster() -> None:
    scene = Scene(config=VideoConfig(framerate=10), has_rate=True)
    for _ in range(100):
        scene.frame(pack_v1("x", jpeg()), wait_s=0.01)
    assert 9 <= len(scene.to_ros) <= 13
    assert scene.room.frames_thinned == 100 - len(scene.to_ros)


def test_the_producer_changes_the_config_and_everybody_else_learns_of_it() -> None:
    scene = Scene()
    changes = []
    scene.room.on_config = lambda: changes.append(scene.room.config.bitrate)
    scene.room.configure(scene.producer, ConfigSaid({"bitrate": 300_000, "encoding": "h264"}))
    (told,) = read(scene.viewer)
    assert (told["type"], told["source"]) == ("video_config_update", "p")
    assert (told["config"]["bitrate"], told["config"]["encoding"], told["config"]["framerate"]) == (
        300_000,
        "h264",
        30,
    )
    assert changes == [300_000] and read(scene.producer) == []
    for config in ({"framerate": 0}, {"encoding": "vp9"}, {"resolution": 5}, {"quality": float("nan")}):
        scene.room.configure(scene.producer, ConfigSaid(config))
        assert [error["code"] for error in read(scene.producer)] == ["config_invalid"]
    scene.room.configure(scene.viewer, ConfigSaid({"framerate": 1}))
    assert [error["code"] for error in read(scene.viewer)][-1] == "not_producer"
    assert scene.room.config.framerate == 30


def test_stream_events_go_to_everybody_but_the_sender() -> None:
    scene = Scene()
    scene.room.relay(scene.producer, Told("stream_started", {"config": None}))
    for member in (scene.viewer, scene.watcher):
        (told,) = read(member)
        assert (told["type"], told["participant_id"]) == ("stream_started", "p")
    assert read(scene.producer) == []


def test_the_others_learn_who_comes_and_goes() -> None:
    scene = Scene()
    late = enter(scene.room, "late")
    (told,) = read(scene.producer)
    assert (told["type"], told["participant_id"], told["role"], told["room_id"]) == (
        "participant_joined",
        "late",
        "consumer",
        "front",
    )
    assert [message["type"] for message in read(late)] == ["joined"]
    scene.room.leave(late)
    assert [message["type"] for message in read(scene.producer)] == ["participant_left"]


@pytest.mark.parametrize("who", ["watcher", "viewer"])
def test_only_a_producer_that_said_so_sends_pictures(who: str) -> None:
    scene = Scene()
    member = getattr(scene, who)
    scene.room.frame(member, pack_v1("x", jpeg()))
    assert [error["code"] for error in read(member)] == ["not_producer"]
    assert not scene.to_ros


def test_a_producer_that_asks_finds_the_server_among_the_consumers() -> None:
    scene = Scene()
    scene.room.arena_roles.add("consumer")
    assert scene.room.participants()["consumers"] == ["v1", "v3", "rtc", "arena"]
