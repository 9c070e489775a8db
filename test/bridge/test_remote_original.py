# SPDX-License-Identifier: Apache-2.0
"""Rooms at an original transport server, which says no unit and knows no latch; and what is told of a silent one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.bridge.remote_joints import RemoteJoints
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.room import RoomJoints
from lerobot_arena.rooms.robotics import RoboticsRoom, RoboticsSettings
from lerobot_arena.rooms.room import Place
from lerobot_arena.testing.scripted_arena import OneRoomServer, ScriptedArena, running

SAID = {"type": "joint_update", "data": [{"name": "shoulder_pan", "value": 45.0}], "source": "robot"}


@pytest.fixture(autouse=True)
def no_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))


class Measured:
    """A session's room for measured joints; `taken` is what came into it."""

    def __init__(self, arena: ScriptedArena, unit: str = "normalized") -> None:
        place = Place("robotics", "w", "r")
        settings = RoboticsSettings(unit=unit, joint_names=("shoulder_pan",))
        self.room = RoboticsRoom(place, SystemClock(), owner="a", settings=settings)
        self.taken: list[RoomJoints] = []
        self.room.to_ros = self.taken.append
        self.server: Any = OneRoomServer(self.room)
        self.remote = RemoteJoints(self.server, place, arena.url, name="me", is_input=True)


async def until(look: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not look():  # noqa: ASYNC110  what it looks at has no event
            await asyncio.sleep(0.01)  # how often it looks


async def test_values_without_a_unit_are_normalized_ones() -> None:
    async with ScriptedArena() as arena:
        arena.joined = {"role": "consumer"}
        joints = Measured(arena)
        async with running(joints.remote):
            await until(lambda: joints.remote.is_live)
            await arena.say(SAID)
            await until(lambda: joints.taken)
            assert (joints.taken[0].values, joints.taken[0].unit) == ((45.0,), "normalized")


async def test_an_update_in_another_unit_is_left_out_whatever_joined_said() -> None:
    async with ScriptedArena() as arena:
        arena.joined = {"role": "consumer", "unit": "degrees", "max_age_ms": 500.0}
        joints = Measured(arena, "degrees")
        async with running(joints.remote):
            await until(lambda: joints.remote.is_live)
            await arena.say({**SAID, "unit": "radians"})
            await until(lambda: "radians" in joints.remote.detail)
            assert not joints.taken and not joints.remote.is_live
            await arena.say({**SAID, "unit": "degrees"})
            await until(lambda: joints.taken and joints.remote.is_live)


async def test_joints_come_again_after_a_stop_there_that_is_reset_here() -> None:
    async with ScriptedArena() as arena:
        arena.joined = {"role": "consumer"}
        joints = Measured(arena)
        async with running(joints.remote):
            await until(lambda: joints.remote.is_live)
            await arena.say({"type": "emergency_stop", "reason": "hand", "source": "bob"})
            await until(lambda: joints.room.estop_latched)
            joints.room.release("somebody")
            await until(lambda: len(arena.joins) == 2 and joints.remote.is_live)
            await arena.say(SAID)
            await until(lambda: joints.taken)
            assert len(joints.server.stops) == 1


async def test_an_estop_here_is_the_first_thing_said_there() -> None:
    async with ScriptedArena() as arena:
        joints = Measured(arena)
        joints.room.emergency_stop("guard", "before anybody was joined")
        async with running(joints.remote):
            await until(lambda: arena.heard)
            assert arena.heard[0]["type"] == "emergency_stop"


async def test_silence_and_refusals_are_told() -> None:
    async with ScriptedArena() as arena:
        joints = Measured(arena)
        async with running(joints.remote):
            await until(lambda: joints.remote.is_live)
            for _ in range(3):
                await arena.say({**SAID, "data": [{"name": "elbow", "value": 1.0}]})
            await until(lambda: "joint_unknown, 3 times" in joints.remote.detail)
            assert joints.remote.is_live
            arena.acks = False
            await until(lambda: "Nothing was heard" in joints.remote.detail)
            assert not joints.remote.is_live
