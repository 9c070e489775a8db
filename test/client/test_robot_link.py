# SPDX-License-Identifier: Apache-2.0
"""A robot elsewhere: what it measures reaches the session, what was executed reaches it, and hold is silence."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from lerobot_arena.client import Arena, AsyncArena, blocking
from lerobot_arena.client.joint_room import JointRoom
from lerobot_arena.client.picture_room import PictureRoom
from lerobot_arena.client.robot_link import RobotLink
from lerobot_arena.core.errors import Conflict, InvalidInput, NotFound
from lerobot_arena.core.room import GUARD_SOURCE, RoomJoints
from lerobot_arena.testing.bridge_fake_values import JOINTS
from lerobot_arena.testing.live_bridge import LiveBridge

JPEG = bytes(cv2.imencode(".jpg", np.full((16, 32, 3), 90, np.uint8))[1])
MEASURED = {name: 1.0 + index for index, name in enumerate(JOINTS)}


def until(look: Callable[[], Any], what: str, timeout_s: float = 8.0) -> Any:
    begin = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - begin < timeout_s, what
        time.sleep(0.01)  # how often it looks; the link lives in threads of its own
    return found


async def until_async(look: Callable[[], Any], what: str) -> Any:
    return await asyncio.to_thread(until, look, what)


def executed(bridge: LiveBridge, session: Any, value: float, age_s: float = 0.0) -> None:
    """The guard executed a command and says so on the session's topic."""
    topic = bridge.services.book.get(session["session_id"]).wanted.joint_output_topic
    joints = RoomJoints(JOINTS, (value,) * len(JOINTS), "normalized", source=GUARD_SOURCE, age_s=age_s)
    bridge.on_loop(lambda: bridge.fake.rooms.say(topic, joints))


async def test_measured_out_and_executed_in(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.sessions.create("pick", "demo", camera_names=["front"])
        async with arena.robot_link("pick", max_age_s=2.0) as link:
            assert link.is_live and link.cameras == ["front"] and link.command() is None
            assert link.send(MEASURED, {"front": JPEG})
            wanted = bridge.services.book.get("pick").wanted
            said = await until_async(lambda: bridge.fake.rooms.joints[wanted.joint_input_topic], "no joints")
            assert dict(zip(said[0].names, said[0].values, strict=True)) == MEASURED
            shown = await until_async(
                lambda: bridge.fake.rooms.pictures[wanted.camera_topics[0]], "no picture"
            )
            assert shown[0][0] == JPEG
            # Each executed command once, while it is fresh; a late one never.
            commands = link.commands()
            await asyncio.to_thread(executed, bridge, link.session, 5.0)
            command = await asyncio.wait_for(anext(commands), 10.0)
            assert set(command.joints.values()) == {5.0} and command.age_s < 2.0
            await asyncio.to_thread(executed, bridge, link.session, 6.0, 4.0)
            await asyncio.sleep(2.2)  # past what a command is fresh for: silence is the case
            assert link.command() is None, "silence is hold"
            assert link.counters["commands"]["stale"] == 1
            for bad in ({"elbow": float("nan")}, {}):
                with pytest.raises(InvalidInput):
                    link.send(bad)
            for frames in ({"wrist": JPEG}, {"front": b"no"}):
                with pytest.raises(InvalidInput):
                    link.send(MEASURED, frames)
        assert not link.is_live and link.command() is None


async def test_an_estop_of_the_arm_reaches_the_robot_and_its_own_reaches_the_arm(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.sessions.create("pick", "demo", camera_names=[])
        link = arena.robot_link("pick", cameras=[], max_age_s=5.0)
        heard: list[str] = []
        link.on_estop = lambda reason, source: heard.append(source)
        async with link:
            arm = str(link.session and link.session["arm"])
            await asyncio.to_thread(executed, bridge, link.session, 5.0)
            await until_async(link.command, "no command")
            await arena.estop(arm)
            await until_async(lambda: link.estop_latched, "not latched")
            assert link.command() is None and not link.send(MEASURED) and heard
            await arena.control.reset(arm)
            await until_async(lambda: not link.estop_latched, "not released")
            assert link.command() is None, "what was executed before the stop is over"
            await link.emergency_stop("button")
            assert link.estop_latched
            await until_async(lambda: bridge.fake.guards[arm].estop_latched, "the arm was not stopped")


async def test_only_sessions_whose_robot_is_elsewhere(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.sessions.create("here", "demo", robot="arm")
        with pytest.raises(Conflict, match="at the bridge"):
            await arena.robot_link("here").open()
        with pytest.raises(NotFound):
            await arena.robot_link("nowhere").open()
        await arena.sessions.create("there", "demo")
        with pytest.raises(InvalidInput, match="no camera"):
            await arena.robot_link("there", cameras=["back"]).open()
        with pytest.raises(Conflict, match="not open"):
            arena.robot_link("there").send(MEASURED)


def test_without_asyncio(bridge: LiveBridge) -> None:
    with Arena(bridge.url) as arena:
        arena.sessions.create("pick", "demo", camera_names=["front"])
        with arena.robot_link("pick", max_age_s=5.0) as link:
            assert link.is_live and link.session and link.cameras == ["front"]
            assert link.send(MEASURED, {"front": JPEG})
            executed(bridge, link.session, 5.0)
            command = until(link.command, "no command")
            assert set(command.joints.values()) == {5.0}
            executed(bridge, link.session, 6.0)
            assert set(next(link.commands()).joints.values()) in ({5.0}, {6.0})
            assert link.failure is None and link.counters["joints"]["sent"] >= 1
            link.emergency_stop("button")
            assert link.estop_latched and link.command() is None
        arena.robotics.create("w", "r")
        with (
            arena.join_robotics("w", "r", role="producer") as producer,
            arena.join_robotics("w", "r", max_age_s=5.0) as consumer,
        ):
            assert producer.send_joints({"a": 1.0})
            update = consumer.next(10.0)
            assert update is not None and update.joints == {"a": 1.0}
            assert consumer.next(0.05) is None
            producer.send_joints({"a": 2.0})
            assert next(iter(consumer)).joints == {"a": 2.0}
            assert producer.rtt_s is not None and consumer.newest() is not None
        with pytest.raises(NotFound), arena.join_video("w", "none"):
            pass


@pytest.mark.parametrize(
    ("awaited", "blocked"),
    [
        (JointRoom, blocking.BlockingJointRoom),
        (PictureRoom, blocking.BlockingPictureRoom),
        (RobotLink, blocking.BlockingRobotLink),
    ],
)
def test_both_kinds_of_rooms_have_the_same_names(awaited: type, blocked: type) -> None:
    names = {name for name in vars(awaited) if not name.startswith("_") and name != "configure"}
    assert names <= set(dir(blocked))
    for name in names:
        one, two = inspect.getattr_static(awaited, name), inspect.getattr_static(blocked, name)
        assert isinstance(one, property) == isinstance(two, property), name
        if inspect.isfunction(one):
            assert list(inspect.signature(one).parameters) == list(inspect.signature(two).parameters), name
