# SPDX-License-Identifier: Apache-2.0
"""Rooms that clients made come back as they were made, in either database."""

from dataclasses import asdict

import pytest
from sqlalchemy import Engine

from lerobot_arena.bridge.rooms_server import settings_from
from lerobot_arena.bridge.rooms_store import RoomRecord, RoomStore
from lerobot_arena.core.errors import Conflict
from lerobot_arena.rooms.robotics import RoboticsSettings
from lerobot_arena.rooms.room import Place
from lerobot_arena.rooms.video import VideoSettings
from lerobot_arena.rooms.video_config import RecoveryConfig, VideoConfig

ROBOTICS = RoboticsSettings(3, 0.25, 60.0, "degrees", ("ä", "b" * 50), "Räume ☺", "generic")
VIDEO = VideoSettings(
    100,
    0.02,
    VideoConfig("h264", 320, 240, 15, 500_000, 60, "p2p"),
    RecoveryConfig(500, info_frame_bg_color=(1, 2, 3)),
    has_size=True,
    has_rate=True,
)


def record(kind: str, room: str, created_at: float) -> RoomRecord:
    settings = ROBOTICS if kind == "robotics" else VIDEO
    place = Place(kind, "w" * 64, room)
    return RoomRecord(place, "ada", settings.max_consumers, asdict(settings), created_at)


def test_rooms_come_back_with_their_settings_oldest_first(engine: Engine) -> None:
    store = RoomStore(engine)
    assert store.load() == []
    for given in (record("video", "v" * 64, 2.0), record("robotics", "r", 1.0)):
        store.insert(given)
    first, second = store.load()
    assert (first.place, second.place) == (
        Place("robotics", "w" * 64, "r"),
        Place("video", "w" * 64, "v" * 64),
    )
    assert settings_from("robotics", first.settings) == ROBOTICS
    assert settings_from("video", second.settings) == VIDEO
    assert (first.owner, first.max_consumers, first.created_at) == ("ada", 3, 1.0)


def test_a_name_is_taken_once_in_each_kind(engine: Engine) -> None:
    store = RoomStore(engine)
    store.insert(record("robotics", "r", 1.0))
    store.insert(record("video", "r", 1.0))
    with pytest.raises(Conflict):
        store.insert(record("robotics", "r", 2.0))
    assert len(store.load()) == 2


def test_who_stopped_a_room_is_kept_until_it_is_released(engine: Engine) -> None:
    store = RoomStore(engine)
    for kind in ("robotics", "video"):
        store.insert(record(kind, "r", 1.0))
    robotics = Place("robotics", "w" * 64, "r")
    for name in ("ä" * 100, ""):
        store.latch(robotics, name)
        kept = {found.place.kind: found.latched_by for found in store.load()}
        assert kept == {"robotics": name, "video": ""}
    store.latch(Place("robotics", "w", "none"), "p")


def test_deleting_is_of_one_room_and_of_none_is_no_error(engine: Engine) -> None:
    store = RoomStore(engine)
    for room in ("a", "b"):
        store.insert(record("robotics", room, 1.0))
    for _ in range(2):
        store.delete(Place("robotics", "w" * 64, "a"))
    store.delete(Place("video", "w" * 64, "b"))
    assert [kept.place.room_id for kept in store.load()] == ["b"]
