# SPDX-License-Identifier: Apache-2.0
"""What a room says, read by the client: ages are believed only upwards, garbage is counted, frames fit the server's."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.client import AsyncArena, wire
from lerobot_arena.client.joint_room import JointRoom
from lerobot_arena.client.outgoing import Outgoing
from lerobot_arena.rooms import jpeg
from lerobot_arena.rooms.wire import JointsSaid, read_robotics


def test_an_update_without_a_clock_is_as_old_as_it_says() -> None:
    """What another server says of age is believed only to make a value older."""
    room = asyncio.run(_fed({"type": "joint_update", "data": [{"name": "a", "value": 1}], "age_ms": 700.0}))
    assert room.counters["stale"] == 1
    room = asyncio.run(_fed({"type": "joint_update", "data": {"a": 1}, "age_ms": -5000.0}))
    assert room._take() is not None


async def _fed(message: dict[str, Any]) -> JointRoom:
    room = AsyncArena("http://127.0.0.1:9").join_robotics("w", "r")
    room.link._hear(json.dumps(message))
    if message["age_ms"] > 0:
        assert room._take() is None
    return room


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"type": 1}', '{"type":"joint_update"}', '{"type":"joint_update","data":[{"name":"a"}]}',
     '{"type":"joint_update","data":{"a":NaN}}', '{"type":"joint_update","data":{"a":true}}',
     '{"type":"joint_update","data":{"a":1},"seq":"x"}', b"\x03", b"\x09abc", "\ud800"],
)  # fmt: skip
async def test_what_cannot_be_read_is_counted(text: str | bytes) -> None:
    room = AsyncArena("http://127.0.0.1:9").join_video("w", "r") if isinstance(text, bytes) else None
    target = room or AsyncArena("http://127.0.0.1:9").join_robotics("w", "r")
    target.link._hear(text)
    assert target.counters["malformed"] == 1


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), st.floats(-360, 360), min_size=1, max_size=8),
    st.integers(0, 2**40),
    st.integers(0, 2**62),
    st.floats(0, 100),
)
def test_the_server_reads_what_the_client_writes(
    joints: dict[str, float], seq: int, stamp_ns: int, age_s: float
) -> None:
    said = read_robotics(wire.joint_update(joints, seq=seq, stamp_ns=stamp_ns, age_s=age_s))
    assert isinstance(said, JointsSaid)
    assert (wire.joints_of(said.data), said.seq, said.stamp_mono_ns) == (joints, seq, stamp_ns)
    assert said.age_ms == pytest.approx(age_s * 1000.0, abs=0.001)


@given(
    st.binary(max_size=200),
    st.integers(0, 2**40),
    st.integers(1, 2**62),
    st.floats(0, 100),
    st.text(max_size=300),
)
def test_frames_are_read_back(body: bytes, seq: int, stamp_ns: int, age_s: float, name: str) -> None:
    shown = wire.read_frame(jpeg.pack_v3(name, body, seq=seq, stamp_mono_ns=stamp_ns, age_s=age_s))
    assert (shown.jpeg, shown.seq, shown.stamp_mono_ns) == (body, seq % 2**32, stamp_ns)
    assert shown.age_s == pytest.approx(age_s, abs=1e-5)
    plain = wire.read_frame(jpeg.pack_v1("front", body))
    assert (plain.jpeg, plain.camera, plain.age_s) == (body, "front", None)
    again = wire.read_frame(wire.pack_frame(body, seq=seq, stamp_ns=stamp_ns, age_s=age_s))
    assert (again.jpeg, again.camera) == (body, "")


def test_what_came_during_an_estop_is_not_handed_out_after_it() -> None:
    async def heard() -> JointRoom:
        room = AsyncArena("http://127.0.0.1:9").join_robotics("w", "r")
        room.link._hear('{"type":"joint_update","data":{"a":1},"estop_latched":true}')
        room.link._hear('{"type":"status_update","status":"estop_reset","estop_latched":false}')
        return room

    room = asyncio.run(heard())
    assert not room.estop_latched and room._take() is None


async def test_what_waits_is_the_newest_and_a_break_forgets_all_but_the_stop() -> None:
    waiting = Outgoing()
    waiting.put_joints({"a": 1.0, "b": 1.0}, 10)
    waiting.put_joints({"a": 2.0}, 20)
    # Joint b is still as old as it was.
    said = json.loads(await waiting.take())
    assert wire.joints_of(said["data"]) == {"a": 2.0, "b": 1.0} and said["stamp_mono_ns"] == 10
    waiting.put_joints({"a": 3.0}, 30)
    waiting.put_frame(b"jpeg", 30)
    waiting.put_control("control")
    waiting.put_urgent("stop")
    waiting.forget()
    assert await waiting.take() == "stop"
    assert waiting._next() is None


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        wire.read_frame(data)
    except ValueError:
        return
    assert data[0] in {1, 3}
