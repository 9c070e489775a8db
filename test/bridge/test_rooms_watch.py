# SPDX-License-Identifier: Apache-2.0
"""Watchers of video rooms: ROS cameras as the room's config says, and what stands in when pictures stop."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lerobot_arena.core import topics
from lerobot_arena.rooms.jpeg import pack_v1, read_frame
from lerobot_arena.testing.bridge_fake_values import moving_picture
from lerobot_arena.testing.bridge_rig import until
from lerobot_arena.testing.rooms_rig import RoomClient, RoomsRig, serve_rooms

TOPIC = topics.room("w", "v")
QUICK = {"frame_timeout_ms": 50, "max_frame_reuse_count": 1}


@pytest.fixture
async def rooms(data_dir: Path) -> AsyncIterator[RoomsRig]:
    async with serve_rooms(data_dir) as made:
        yield made


def pixels(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(read_frame(data).jpeg, np.uint8), cv2.IMREAD_COLOR)


async def picture(client: RoomClient) -> bytes:
    while not isinstance(said := await client.next(), bytes):
        continue
    return said


async def test_a_ros_camera_is_packed_in_the_room_s_size_and_only_while_somebody_watches(
    rooms: RoomsRig,
) -> None:
    config = {"resolution": {"width": 320, "height": 180}, "quality": 30}
    await rooms.make("w", "v", kind="video", config=config, recovery_config={"frame_timeout_ms": 1000})
    cameras = rooms.fake.cameras
    assert TOPIC not in cameras
    async with (
        rooms.join("w", "v", "c", kind="video", media="jpeg") as watcher,
        rooms.join("w", "v", "w", kind="video"),
    ):
        await until(lambda: TOPIC in cameras)
        rooms.fake.show(TOPIC, moving_picture(1, 0))
        seen = pixels(await picture(watcher))
        assert seen.shape == (180, 320, 3)
        assert seen[:, :30].max() < 20, "the aspect is kept: what is left over stays black"
        info = (await rooms.http.get(rooms.room("w", "v", kind="video"))).json()["room"]
        assert info["frame_count"] == 1
    await until(lambda: TOPIC not in cameras)


async def test_a_client_s_pictures_take_the_place_of_the_topic_s(rooms: RoomsRig) -> None:
    await rooms.make("w", "v", kind="video")
    async with rooms.join("w", "v", "c", kind="video", media="jpeg"):
        await until(lambda: TOPIC in rooms.fake.cameras)
        async with rooms.join("w", "v", "p", "producer", kind="video", media="jpeg"):
            await until(lambda: TOPIC not in rooms.fake.cameras)
        await until(lambda: TOPIC in rooms.fake.cameras)


async def test_when_a_ros_camera_stops_watchers_see_the_last_picture_held_and_then_why(
    rooms: RoomsRig,
) -> None:
    await rooms.make("w", "v", kind="video", recovery_config=QUICK)
    async with rooms.join("w", "v", "c", kind="video", media="jpeg") as watcher:
        await until(lambda: TOPIC in rooms.fake.cameras)
        white = np.full((120, 160, 3), 250, np.uint8)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.0:
            rooms.fake.show(TOPIC, white)
            await asyncio.sleep(0.02)  # a camera at 50 Hz
        told = [await watcher.until("recovery_triggered")]
        while told[-1]["policy"] != "connection_info":
            told.append(await watcher.until("recovery_triggered"))
        assert {"freeze_last_frame", "connection_info"} >= {said["policy"] for said in told}
        await picture(watcher)
        info = pixels(await picture(watcher))
        assert info.shape == (120, 160, 3)
        assert info.mean() < 100, "the info picture is dark"
    assert not rooms.fake.rooms.pictures, "never on the topic"


async def test_a_client_s_last_picture_is_repeated_as_it_was_and_programs_see_no_stand_in(
    rooms: RoomsRig,
) -> None:
    frozen = {"frame_timeout_ms": 50, "fallback_policy": "freeze_last_frame"}
    await rooms.make("w", "v", kind="video", recovery_config=frozen)
    sent = bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 200, np.uint8))[1])
    async with (
        rooms.join("w", "v", "p", "producer", kind="video", media="jpeg") as producer,
        rooms.join("w", "v", "c", kind="video", media="jpeg") as person,
        rooms.join("w", "v", "d", kind="video", media="jpeg", stand_ins=False) as program,
    ):
        await producer.socket.send(pack_v1("x", sent))
        assert [await picture(person) for _ in range(3)][-1] == pack_v1("v", sent)
        pictures = []
        with pytest.raises(TimeoutError):
            while True:
                said = await program.next(0.5)
                pictures += [said] if isinstance(said, bytes) else []
        assert pictures == [pack_v1("v", sent)]
    assert [stamped[0] for stamped in rooms.fake.rooms.pictures[TOPIC]] == [sent]


async def test_a_room_without_any_picture_says_so(rooms: RoomsRig) -> None:
    await rooms.make("w", "v", kind="video", recovery_config={**QUICK, "fallback_policy": "black_screen"})
    async with rooms.join("w", "v", "c", kind="video", media="jpeg") as watcher:
        assert (await watcher.until("recovery_triggered"))["reason"] == "no_producer"
        black = pixels(await picture(watcher))
        while black.any():
            black = pixels(await picture(watcher))
        assert black.shape == (480, 640, 3)
