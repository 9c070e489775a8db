# SPDX-License-Identifier: Apache-2.0
"""A session whose rooms are on another arena: two real bridges on real ports, each over a robot side in memory."""

from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from lerobot_arena.core import topics
from lerobot_arena.testing.remote_pair import (
    ARM,
    CAMERA,
    INPUT,
    OUTPUT,
    SESSION,
    WORKSPACE,
    Pair,
    jpeg,
    until,
)


@pytest.fixture
def joined(pair: Pair) -> Pair:
    pair.join()
    return pair


def test_joints_come_from_there_with_their_age_and_commands_go_there(joined: Pair) -> None:
    with joined.client.join_robotics(WORKSPACE, INPUT, role="producer") as robot:
        until(lambda: robot.send_joints({"shoulder_pan": 12.5}) and joined.published(), "joints to arrive")
    first = joined.published()[0]
    assert (first.names, first.values) == (("shoulder_pan",), (12.5,))
    assert 0.0 <= first.age_s < 5.0 and first.source == "remote"
    with joined.client.join_robotics(WORKSPACE, OUTPUT) as robot:

        def heard() -> Any:
            joined.execute(3.25)
            return robot.next(timeout_s=0.2)

        update = until(heard, "a command")
    assert update.joints == {"shoulder_pan": 3.25} and update.age_s < 5.0


def test_it_is_called_otherwise_in_each_room_there(joined: Pair) -> None:
    """The original transport server has one table of participants for all rooms."""
    rooms = httpx.get(f"{joined.home.url}/robotics/workspaces/{WORKSPACE}/rooms").json()["rooms"]
    said = {room["id"]: room["participants"] for room in rooms}
    assert said[INPUT]["consumers"] == [f"{INPUT}-consumer"]
    assert said[OUTPUT]["producer"] == f"{OUTPUT}-producer"


def test_pictures_come_from_there(joined: Pair) -> None:
    picture = jpeg()
    topic = topics.room(WORKSPACE, CAMERA)
    with joined.client.join_video(WORKSPACE, CAMERA, role="producer") as camera:
        until(lambda: camera.send_frame(picture) and joined.brain.fake.rooms.pictures[topic], "a picture")
    arrived = cv2.imdecode(np.frombuffer(joined.brain.fake.rooms.pictures[topic][0][0], np.uint8), 1)
    assert arrived.shape == (48, 64, 3) and abs(float(arrived.mean()) - 90) < 3


def test_what_stands_in_for_a_lost_picture_never_comes_here(joined: Pair) -> None:
    """The room there shows its watchers an information picture by now; a policy must see that the camera is dead."""
    watcher = joined.client.join_video(WORKSPACE, CAMERA, stand_ins=True)
    with watcher:
        assert watcher.next(timeout_s=10.0) is not None
    assert not joined.brain.fake.rooms.pictures[topics.room(WORKSPACE, CAMERA)]


def test_an_estop_there_stops_the_arm_here(joined: Pair) -> None:
    with joined.client.join_robotics(WORKSPACE, OUTPUT) as robot:
        robot.emergency_stop("hand in the way")
        until(lambda: (ARM, "estop") in joined.brain.fake.calls, "the guard to be stopped")


def test_an_estop_here_is_told_there(joined: Pair) -> None:
    with joined.client.join_robotics(WORKSPACE, OUTPUT) as robot:
        assert httpx.post(f"{joined.brain.url}/api/control/estop").status_code == 200
        until(lambda: robot.estop_latched, "the room there to be latched")


def test_a_break_is_mended_and_said_meanwhile(joined: Pair) -> None:
    joined.home.stop()
    until(lambda: not joined.remote()["is_connected"], "the break to show")
    assert all(room["detail"] for room in joined.remote()["rooms"].values())
    joined.home.start()
    until(lambda: joined.remote()["is_connected"], "the rooms to be joined again", 30.0)
    before = len(joined.published())
    with joined.client.join_robotics(WORKSPACE, INPUT, role="producer") as robot:
        until(
            lambda: robot.send_joints({"shoulder_pan": 1.0}) and len(joined.published()) > before,
            "joints again",
        )


def test_the_rooms_there_end_with_the_session(joined: Pair) -> None:
    rooms = f"{joined.home.url}/robotics/workspaces/{WORKSPACE}/rooms"
    assert httpx.get(rooms).json()["total"] == 2
    assert httpx.delete(f"{joined.brain.url}/sessions/{SESSION}").status_code == 200
    until(lambda: httpx.get(rooms).json()["total"] == 0, "the rooms there to end")


def test_only_allowed_arenas_are_joined(pair: Pair) -> None:
    refused = pair.create(arena_server_url="http://169.254.169.254")
    assert refused.status_code == 403 and "ARENA_REMOTE_ARENAS" in refused.json()["detail"]
    arm = pair.create(robot="arm")
    assert arm.status_code == 400 and "arena_server_url" in arm.json()["detail"]
    assert pair.create(arena_server_url="http://localhost:8000").status_code == 200
    assert "remote" not in httpx.get(f"{pair.brain.url}/sessions/{SESSION}").json()["rooms"]
