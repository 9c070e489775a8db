# SPDX-License-Identifier: Apache-2.0
"""Pictures from another arena: as old as they are, whoever's clock begins anew, and never what stands in for one."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lerobot_arena.bridge.remote_camera import RemoteCamera
from lerobot_arena.client import wire
from lerobot_arena.core.clock import NS, SystemClock
from lerobot_arena.rooms import messages
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.testing.remote_pair import CAMERA, WORKSPACE, Pair, jpeg
from lerobot_arena.testing.remote_pair import until as seen
from lerobot_arena.testing.scripted_arena import OneRoomServer, ScriptedArena, running

BOOTED_NS = 1200 * NS


@pytest.fixture(autouse=True)
def no_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))


class Watched:
    """A camera's room of ours; `taken` are the ages in seconds of what it took."""

    def __init__(self, arena: ScriptedArena, max_age_s: float) -> None:
        place = Place("video", "w", "r")
        self.room = VideoRoom(place, SystemClock(), owner="a", settings=VideoSettings(max_age_s=max_age_s))
        self.taken: list[float] = []
        self.room.to_ros = lambda _jpeg, stamp_ns: self.taken.append((time.time_ns() - stamp_ns) / NS)
        server: Any = OneRoomServer(self.room)
        self.remote = RemoteCamera(server, place, arena.url, name="me")

    def refused(self, code: str) -> int:
        return sum(member.refused[code] for member in self.room.members.values())


async def until(look: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not look():  # noqa: ASYNC110  what it looks at has no event
            await asyncio.sleep(0.01)  # how often it looks


async def show(arena: ScriptedArena, *, stamp_ns: int = 0, age_s: float = 0.0) -> None:
    await arena.say(wire.pack_frame(jpeg(), seq=1, stamp_ns=stamp_ns, age_s=age_s))


async def test_a_robot_whose_clock_begins_anew_is_seen_again() -> None:
    async with ScriptedArena() as arena:
        camera = Watched(arena, max_age_s=10.0)
        async with running(camera.remote):
            await until(lambda: camera.remote.is_live)
            await show(arena, stamp_ns=time.monotonic_ns() + BOOTED_NS)
            await until(lambda: len(camera.taken) == 1)
            await show(arena, stamp_ns=time.monotonic_ns())
            await until(lambda: camera.refused("stale") == 1)
            await arena.say({"type": "participant_joined", "participant_id": "p", "role": "producer"})
            await show(arena, stamp_ns=time.monotonic_ns())
            await until(lambda: len(camera.taken) == 2)


async def test_what_was_late_on_the_first_way_is_late_once() -> None:
    async with ScriptedArena() as arena:
        camera = Watched(arena, max_age_s=30.0)
        async with running(camera.remote):
            await until(lambda: camera.remote.is_live)
            await show(arena, stamp_ns=time.monotonic_ns())
            await until(lambda: len(camera.taken) == 1)
            await show(arena, stamp_ns=time.monotonic_ns() - 20 * NS, age_s=20.0)
            await until(lambda: len(camera.taken) == 2)
            assert 19.0 < camera.taken[1] < 30.0


async def test_a_picture_without_a_stamp_is_as_old_as_an_answer_is_overdue() -> None:
    """After a stall it comes before the answer to a heartbeat of long ago."""
    async with ScriptedArena() as arena:
        camera = Watched(arena, max_age_s=1.0)
        async with running(camera.remote):
            await until(lambda: camera.remote.is_live)
            await show(arena)
            await until(lambda: camera.taken)
            arena.acks = False
            async with asyncio.timeout(20.0):
                while not camera.refused("stale"):
                    await show(arena)
                    await asyncio.sleep(0.1)  # a camera at 10 Hz
            assert "stale" in camera.remote.detail


def test_an_offer_on_a_bridge_of_ours_changes_nothing(pair: Pair) -> None:
    pair.join()
    offer = {"offer": {"type": "offer", "sdp": "garbage"}, "from_producer": "mallory"}

    def tell(room: Room) -> None:
        room.members[f"{CAMERA}-consumer"].mailbox.put_event(messages.say("webrtc_offer", **offer))

    pair.home.on_loop(lambda: tell(pair.room(pair.home, CAMERA)))
    with pair.client.join_video(WORKSPACE, CAMERA, role="producer") as camera:
        seen(lambda: camera.send_frame(jpeg()) and pair.pictures(), "a picture after the offer")
        pair.cut_and_back(CAMERA)
        join = pair.room(pair.home, CAMERA).members[f"{CAMERA}-consumer"].join
        assert (join.media, join.stand_ins) == ("jpeg", False)
        seen(
            lambda: camera.send_frame(jpeg(200)) and max(map(_grey, pair.pictures())) > 150, "pictures again"
        )


def _grey(picture: tuple[bytes, int]) -> float:
    return float(np.mean(cv2.imdecode(np.frombuffer(picture[0], np.uint8), cv2.IMREAD_GRAYSCALE)))  # type: ignore[arg-type]
