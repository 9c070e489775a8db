# SPDX-License-Identifier: Apache-2.0
"""Joints between two arenas pass in one unit only, and never late."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.rooms.robotics import RoboticsRoom
from lerobot_arena.testing.remote_pair import (
    ARM,
    CAMERA,
    INPUT,
    OUTPUT,
    SESSION,
    WORKSPACE,
    Pair,
    remote_pair,
    until,
)


def test_the_room_there_is_made_in_the_sessions_unit_and_joints(pair: Pair) -> None:
    pair.join(unit="degrees", joint_names=["shoulder_pan", "gripper"])
    for room in (INPUT, OUTPUT):
        made = pair.room(pair.home, room)
        assert isinstance(made, RoboticsRoom)
        assert (made.settings.unit, made.settings.joint_names) == ("degrees", ("shoulder_pan", "gripper"))
    with pair.client.join_robotics(WORKSPACE, INPUT, role="producer") as robot:
        until(lambda: robot.send_joints({"shoulder_pan": 170.0}) and pair.published(), "joints to arrive")
    assert (pair.published()[0].values, pair.published()[0].unit) == ((170.0,), "degrees")


def test_values_in_another_unit_pass_neither_way_and_an_estop_does(pair: Pair) -> None:
    for room in (INPUT, OUTPUT):
        pair.client.robotics.create(WORKSPACE, room, unit="degrees")
    assert pair.create(unit="normalized").status_code == 200
    until(lambda: all("degrees" in pair.detail(room) for room in (INPUT, OUTPUT)), "the mismatch to be said")
    for room in (INPUT, OUTPUT):
        assert "normalized" in pair.detail(room) and not pair.remote()["rooms"][room]["is_connected"]
    with (
        pair.client.join_robotics(WORKSPACE, INPUT, role="producer") as robot,
        pair.client.join_robotics(WORKSPACE, OUTPUT) as follower,
    ):
        for value in range(10):
            assert robot.send_joints({"shoulder_pan": float(value)})
            pair.execute(float(value))
            assert follower.next(timeout_s=0.05) is None
        assert not pair.published()
        follower.emergency_stop("wrong unit")
        until(lambda: (ARM, "estop") in pair.brain.fake.calls, "the guard to be stopped")


def test_a_stalled_link_looks_like_a_robot_that_fell_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured before or during the stall never reaches the guard after it; what comes then does."""
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    with remote_pair(tmp_path, has_proxy=True) as pair:
        pair.join(unit="degrees")
        ended = threading.Event()
        said: list[float] = []

        def move(robot: Any) -> None:
            while not ended.wait(0.02):  # a robot at 50 Hz
                value = len(said) / 1000
                said.append(time.monotonic())
                robot.send_joints({"shoulder_pan": value})

        with pair.client.join_robotics(WORKSPACE, INPUT, role="producer") as robot:
            mover = threading.Thread(target=move, args=(robot,))
            mover.start()
            try:
                _stall(pair, said)
            finally:
                ended.set()
                mover.join()


def _stall(pair: Pair, said: list[float]) -> None:
    assert pair.proxy is not None
    until(lambda: len(pair.published()) > 20, "joints to arrive")
    pair.home.on_loop(pair.proxy.stall)
    stalled_s = time.monotonic()
    until(lambda: time.monotonic() - stalled_s > 1.5, "the stall to last")
    before = len(pair.published())
    pair.home.on_loop(pair.proxy.flow)
    flowing_s = time.monotonic()
    until(lambda: len(pair.published()) > before + 20, "joints again")
    late = [
        flowing_s - said[round(joints.values[0] * 1000)]
        for joints in pair.published()[before:]
        if said[round(joints.values[0] * 1000)] < flowing_s
    ]
    # The room takes what is up to 0.5 s old; a slow machine may take a little from that.
    assert max(late, default=0.0) < 0.8, late
    assert max(joints.age_s for joints in pair.published()[before:]) <= 0.5


def test_only_rooms_that_were_made_for_the_session_end_with_it(pair: Pair) -> None:
    pair.client.robotics.create(WORKSPACE, INPUT)
    pair.client.video.create(WORKSPACE, CAMERA)
    pair.join()
    assert httpx.delete(f"{pair.brain.url}/sessions/{SESSION}").status_code == 200
    rooms = f"{pair.home.url}/robotics/workspaces/{WORKSPACE}/rooms"
    until(lambda: httpx.get(rooms).json()["total"] == 1, "the session's own room there to end")
    assert httpx.get(rooms).json()["rooms"][0]["id"] == INPUT
    assert pair.client.video.get(WORKSPACE, CAMERA)["id"] == CAMERA
