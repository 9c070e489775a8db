# SPDX-License-Identifier: Apache-2.0
"""Whatever another arena says, the pipe to it comes back, and an e-stop that is said then is heard."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.bridge.remote_camera import RemoteCamera
from lerobot_arena.bridge.remote_joints import RemoteJoints
from lerobot_arena.bridge.remote_room import RemoteRoom
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.rooms.robotics import RoboticsRoom, RoboticsSettings
from lerobot_arena.rooms.room import Place
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.testing.scripted_arena import OneRoomServer, ScriptedArena, running

ORIGINAL: dict[str, Any] = {"room_id": "r", "role": "consumer"}
DEEP = "[" * 200_000
LONG = {"candidate": "x", "sdpMLineIndex": 2**70}
JOINTS: list[Any] = [
    DEEP,
    '{"type": "joint_update", "data": ' + DEEP,
    {"type": "joint_update", "data": [{}]},
    {"type": "joint_update", "data": [{"name": "a", "value": 10**400}], "seq": 2**80},
    {"type": "state_sync", "data": [{}]},
    {"type": "error", "count": "x"},
    {"type": "heartbeat_ack", "server_mono_ns": 2**200},
    b"\x03",
    "[]",
]
OFFERS: list[Any] = [
    {"type": "webrtc_offer", "offer": "x"},
    {"type": "webrtc_offer", "offer": {"sdp": {"a": 1}}, "from_producer": {}},
    '{"type": "webrtc_ice", "candidate": NaN}',
    {"type": "webrtc_ice", "candidate": LONG},
    DEEP,
]


async def until(look: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not look():  # noqa: ASYNC110  what it looks at has no event
            await asyncio.sleep(0.01)  # how often it looks


@pytest.fixture
def no_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path))


def camera(arena: ScriptedArena, **settings: Any) -> tuple[OneRoomServer, RemoteRoom, VideoRoom]:
    place = Place("video", "w", "r")
    room = VideoRoom(place, SystemClock(), owner="a", settings=VideoSettings(**settings))
    server: Any = OneRoomServer(room)
    return server, RemoteCamera(server, place, arena.url, name="me"), room


def joints(arena: ScriptedArena) -> tuple[OneRoomServer, RemoteRoom]:
    place = Place("robotics", "w", "r")
    room = RoboticsRoom(place, SystemClock(), owner="a", settings=RoboticsSettings(unit="normalized"))
    server: Any = OneRoomServer(room)
    return server, RemoteJoints(server, place, arena.url, name="me", is_input=True)


async def heard(arena: ScriptedArena, server: OneRoomServer, remote: RemoteRoom) -> None:
    await until(lambda: remote.is_live)

    async def stopped() -> None:
        # The connection that is there may be the one that ends.
        while not server.stops:
            await arena.say({"type": "emergency_stop", "reason": "hand", "source": "bob"})
            await asyncio.sleep(0.1)  # until the next try

    await asyncio.wait_for(stopped(), 20.0)
    assert "hand" in server.stops[0]


@pytest.mark.parametrize("odd", JOINTS, ids=lambda odd: str(odd)[:40])
async def test_a_room_for_joints_survives(odd: Any, no_tokens: None) -> None:
    async with ScriptedArena() as arena:
        server, remote = joints(arena)
        async with running(remote):
            await until(lambda: remote.is_live)
            await arena.say(odd)
            await heard(arena, server, remote)


@pytest.mark.parametrize("odd", OFFERS, ids=lambda odd: str(odd)[:40])
async def test_a_camera_by_webrtc_survives(odd: Any, no_tokens: None) -> None:
    async with ScriptedArena() as arena:
        arena.joined = ORIGINAL
        server, remote, _ = camera(arena)
        async with running(remote):
            await until(lambda: remote.is_live)
            await arena.say(odd)
            await arena.say({"type": "webrtc_offer", "offer": {"sdp": "v=0"}, "from_producer": "p"})
            await until(lambda: any(asked.get("sdp") == "v=0" for asked in server.media.posted))
            await heard(arena, server, remote)


@pytest.mark.parametrize("odd", [DEEP, json.dumps({"type": "state_sync", "data": [{}]}), "{}"], ids=range(3))
async def test_what_is_said_before_joined_may_be_odd_as_well(odd: str, no_tokens: None) -> None:
    async with ScriptedArena() as arena:
        arena.greeting = [odd]
        server, remote = joints(arena)
        async with running(remote):
            await until(lambda: arena.joins)
            arena.greeting = []
            await heard(arena, server, remote)


async def test_a_fault_of_our_own_is_said_and_tried_again(
    no_tokens: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedArena() as arena:
        server, remote = joints(arena)
        monkeypatch.setattr(server, "join", None)
        async with running(remote):
            await until(lambda: "TypeError" in remote.detail)
            monkeypatch.undo()
            monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path))
            await heard(arena, server, remote)
