# SPDX-License-Identifier: Apache-2.0
"""Rooms as the server keeps them: whose they are, which sessions have by themselves, and where the e-stop goes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lerobot_arena.core import topics
from lerobot_arena.core.room import RoomJoints
from lerobot_arena.core.session import RUNNING
from lerobot_arena.rooms.room import Place
from lerobot_arena.testing.bridge_rig import FAR, Rig, until
from lerobot_arena.testing.rooms_rig import RoomsRig, serve_rooms

JOINT_INPUT, JOINT_OUTPUT = (topics.room("w", f"s-joint-{way}") for way in ("input", "output"))


@pytest.fixture
async def rooms(data_dir: Path) -> AsyncIterator[RoomsRig]:
    async with serve_rooms(data_dir) as made:
        yield made


async def session(rig: RoomsRig, name: str = "s", **fields: object) -> dict[str, object]:
    policies = rig.services.settings.roots[0] / "demo"
    policies.mkdir(parents=True, exist_ok=True)
    body = {"session_id": name, "policy_path": "demo", "workspace_id": "w", **fields}
    answer = await rig.http.post("/sessions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_creating_a_room_again_orphans_nobody(rooms: RoomsRig) -> None:
    path = "/robotics/workspaces/w/rooms"
    body = {"room_id": "r", "max_consumers": 5, "unit": "degrees"}
    assert (await rooms.http.post(path, json=body)).status_code == 200
    async with rooms.join("w", "r", "p", "producer") as producer, rooms.join("w", "r", "c") as consumer:
        for same in (body, {"room_id": "r"}, {"room_id": "r", "max_consumers": 5}):
            assert (await rooms.http.post(path, json=same)).status_code == 200
        for other in ({"room_id": "r", "max_consumers": 6}, {"room_id": "r", "name": "x"}):
            refused = await rooms.http.post(path, json=other)
            assert (refused.status_code, refused.json()["code"]) == (409, "room_exists")
        other_kind = await rooms.http.post("/video/workspaces/w/rooms", json={"room_id": "r"})
        assert (other_kind.status_code, other_kind.json()["code"]) == (409, "kind_taken")
        await producer.joints(a=1.0)
        assert (await consumer.until("joint_update"))["data"] == [{"name": "a", "value": 1.0}]


async def test_ids_that_make_no_topic_are_refused(rooms: RoomsRig) -> None:
    for workspace, room in (("w" * 65, "r"), ("w", "é" * 64), (" w", "r"), ("w", "a\tb")):
        answer = await rooms.http.post(f"/robotics/workspaces/{workspace}/rooms", json={"room_id": room})
        assert answer.status_code in {400, 422}, (workspace, answer.text)
    assert len(rooms.services.rooms.hub) == 0


async def test_deleting_a_room_tells_everybody_and_closes_their_sockets(rooms: RoomsRig) -> None:
    for kind in ("robotics", "video"):
        await rooms.make("w", kind, kind=kind)
        async with (
            rooms.join("w", kind, "p", "producer", kind=kind) as producer,
            rooms.join("w", kind, "c", kind=kind) as consumer,
        ):
            assert (await rooms.http.delete(rooms.room("w", kind, kind=kind))).status_code == 200
            for client in (producer, consumer):
                code, before = await client.closed()
                assert code == 4410
                assert (before[-1]["type"], before[-1]["reason"]) == ("room_closed", "deleted")


async def test_a_room_its_settings_and_its_e_stop_survive_a_restart_and_a_deleted_one_does_not(
    data_dir: Path,
) -> None:
    config = {"encoding": "h264", "resolution": {"width": 320, "height": 240}}
    async with serve_rooms(data_dir) as first:
        await first.make("w", "kept", unit="degrees", joint_names=["a"], max_consumers=3, max_age_s=0.2)
        await first.make("w", "deleted")
        await first.make("w", "stopped")
        await first.make("w", "released")
        for room in ("stopped", "released"):
            async with first.join("w", room, "c") as consumer:
                await consumer.say("emergency_stop", reason="smoke")
                await consumer.until("emergency_stop")
        reset = f"{first.room('w', 'released')}/emergency_stop/reset"
        assert (await first.http.post(reset)).status_code == 200
        await first.make("w", "video", kind="video", config=config, recovery_config={"frame_timeout_ms": 300})
        await first.http.delete(first.room("w", "deleted"))
    async with serve_rooms(data_dir) as second:
        listed = (await second.http.get("/robotics/workspaces/w/rooms")).json()["rooms"]
        assert [room["id"] for room in listed] == ["kept", "stopped", "released"]
        command = {"joints": [{"name": "a", "value": 1}]}
        path = second.room("w", "stopped")
        refused = await second.http.post(f"{path}/command", json=command)
        assert (refused.status_code, refused.json()["code"]) == (409, "estop_latched")
        assert (await second.http.post(f"{path}/emergency_stop/reset")).status_code == 200
        for room in ("stopped", "released"):
            said = await second.http.post(f"{second.room('w', room)}/command", json=command)
            assert said.status_code == 200
        info = (await second.http.get(second.room("w", "kept"))).json()["room"]
        assert (info["unit"], info["joint_names"], info["max_consumers"], info["max_age_s"]) == (
            "degrees",
            ["a"],
            3,
            0.2,
        )
        video = (await second.http.get(second.room("w", "video", kind="video"))).json()["room"]
        assert (
            video["config"].items() >= config.items() and video["recovery_config"]["frame_timeout_ms"] == 300
        )
        await second.make("w", "kept", unit="degrees", joint_names=["a"], max_consumers=3, max_age_s=0.2)
        await second.make("w", "video", kind="video", config=config)


async def test_workspaces_and_rooms_know_nothing_of_each_other(rooms: RoomsRig) -> None:
    for workspace in ("w1", "w2"):
        await rooms.make(workspace, "r")
    async with (
        rooms.join("w1", "r", "me", "producer") as one,
        rooms.join("w2", "r", "me", "producer") as two,
        rooms.join("w1", "r", "c") as first,
        rooms.join("w2", "r", "c") as second,
    ):
        await one.joints(a=1.0)
        assert (await first.until("joint_update"))["data"] == [{"name": "a", "value": 1.0}]
        assert await second.is_silent()
        await one.say("emergency_stop", reason="x")
        await first.until("emergency_stop")
        await two.joints(a=2.0)
        assert (await second.until("joint_update"))["data"] == [{"name": "a", "value": 2.0}]
        await one.socket.close()
        await two.say("heartbeat")
        await two.until("heartbeat_ack")
    said = rooms.fake.rooms.joints
    assert {topic: [joints.values for joints in values] for topic, values in said.items()} == {
        "/rooms/w1/r": [(1.0,)],
        "/rooms/w2/r": [(2.0,)],
    }


async def test_who_resumes_takes_over_its_own_connection(rooms: RoomsRig) -> None:
    await rooms.make("w", "r")
    async with rooms.join("w", "r", "p", "producer") as old, rooms.join("w", "r", "c") as consumer:
        token = old.greeting[-1]["resume"]
        async with rooms.join("w", "r", "p", "producer", resume=token) as new:
            assert (await old.closed())[0] == 4412
            await new.joints(a=1.0)
            await consumer.until("joint_update")


async def test_one_account_s_rooms_are_its_own_and_open_to_whom_it_tells(rig: Rig) -> None:
    ada, bob = await rig.user("ada"), await rig.user("bob")
    admin = await rig.user("grace", role="admin")
    path = "/robotics/workspaces/w/rooms"
    async with (
        rig.caller(ada) as hers,
        rig.caller(bob) as his,
        rig.caller(admin) as all_seeing,
        rig.caller() as nobody,
    ):
        assert (await hers.post(path, json={"room_id": "r"})).status_code == 200
        assert (await his.get(path)).json()["rooms"] == []
        assert len((await all_seeing.get(path)).json()["rooms"]) == 1
        assert (await his.get("/robotics/cleanup/status")).json()["cleanup_status"]["rooms"] == []
        assert (await his.get(f"{path}/r")).status_code == 200, "the workspace's name is the key to it"
        assert (await his.post(path, json={"room_id": "r"})).status_code == 409
        assert (await his.delete(f"{path}/r")).status_code == 404
        assert (await nobody.get(f"{path}/r")).status_code == 401
        assert (await all_seeing.delete(f"{path}/r")).status_code == 200
    narrow = await rig.user("eve", scopes=["sessions:read"])
    async with rig.caller(narrow, address=FAR) as eve:
        assert (await eve.post(path, json={"room_id": "r"})).status_code == 403


async def test_a_session_s_rooms_are_seen_by_whom_the_session_is(rig: Rig) -> None:
    ada, bob = await rig.user("ada"), await rig.user("bob")
    (rig.services.settings.roots[0] / "demo").mkdir(parents=True, exist_ok=True)
    async with rig.caller(ada) as hers, rig.caller(bob) as his:
        made = await hers.post(
            "/sessions", json={"session_id": "s", "policy_path": "demo", "workspace_id": "w"}
        )
        assert made.status_code == 200, made.text
        path = "/robotics/workspaces/w/rooms/s-joint-input"
        assert (await hers.get(path)).json()["room"]["session_id"] == "s"
        for answer in (await his.get(path), await his.get(f"{path}/state"), await his.delete(path)):
            assert (answer.status_code, answer.json()["detail"]) == (404, "Room not found")
        command = {"joints": [{"name": "gripper", "value": 1}]}
        assert (await his.post(f"{path}/command", json=command)).status_code == 404
        assert (await hers.delete(path)).json()["code"] == "session_room"


async def test_a_session_of_clients_has_its_rooms_by_itself(rooms: RoomsRig) -> None:
    await session(rooms, camera_names=["front"])
    await until(lambda: rooms.fake.guards.get("virtual/s"))
    joints = (await rooms.http.get("/robotics/workspaces/w/rooms")).json()["rooms"]
    assert [room["id"] for room in joints] == ["s-joint-input", "s-joint-output"]
    video = (await rooms.http.get("/video/workspaces/w/rooms")).json()["rooms"]
    assert [room["id"] for room in video] == ["s-front"]
    await rooms.make("w", "s-joint-input")
    ros = rooms.fake.rooms
    async with (
        rooms.join("w", "s-joint-input", "robot", "producer") as robot,
        rooms.join("w", "s-joint-output", "robot") as commands,
        rooms.socket("w", "s-joint-output") as imposter,
    ):
        assert robot.greeting[-1]["unit"] == "normalized"
        await robot.joints(Rotation=12.0)
        await until(lambda: ros.joints[JOINT_INPUT])
        (said,) = ros.joints[JOINT_INPUT]
        assert (said.names, said.values, said.unit, said.source) == (
            ("shoulder_pan",),
            (12.0,),
            "normalized",
            "robot",
        )
        await robot.joints(shoulder_pan=120.0)
        assert await robot.refused() == "joint_out_of_range"
        await robot.joints(tail=1.0)
        assert await robot.refused() == "joint_unknown"
        ros.say(JOINT_OUTPUT, RoomJoints(("gripper",), (5.0,), "normalized", source="guard"))
        update = await commands.until("joint_update")
        assert (update["source"], update["data"]) == ("guard", [{"name": "gripper", "value": 5.0}])
        await imposter.socket.send(json.dumps({"participant_id": "x", "role": "producer"}))
        code, (error,) = await imposter.closed()
        assert (code, error["code"]) == (4403, "ros_only")
        assert (await rooms.http.delete(rooms.room("w", "s-joint-input"))).status_code == 409
        await rooms.http.delete("/sessions/s")
        for client in (robot, commands):
            code, before = await client.closed()
            assert code == 4410 and before[-1]["reason"] == "session deleted"
    assert len(rooms.services.rooms.hub) == 0


async def test_an_arm_s_session_shows_its_joints_and_cameras_and_takes_none(rooms: RoomsRig) -> None:
    await session(rooms, robot="arm", camera_names=["front"])
    ros = rooms.fake.rooms
    async with rooms.join("w", "s-joint-input", "c") as consumer:
        await until(lambda: ros.listeners["/arm/joint_states"])
        ros.say("/arm/joint_states", RoomJoints(("gripper",), (0.5,), "radians"))
        update = await consumer.until("joint_update")
        assert (update["unit"], update["data"]) == ("radians", [{"name": "gripper", "value": 0.5}])
    for room, kind in (("s-joint-input", "robotics"), ("s-front", "video")):
        async with rooms.socket("w", room, kind=kind) as client:
            await client.socket.send(json.dumps({"participant_id": "p", "role": "producer"}))
            assert (await client.closed())[1][0]["code"] == "ros_only"
    command = {"joints": [{"name": "gripper", "value": 1}]}
    refused = await rooms.http.post(f"{rooms.room('w', 's-joint-input')}/command", json=command)
    assert (refused.status_code, refused.json()["code"]) == (409, "ros_only")


async def test_while_ros_produces_clients_do_not(rooms: RoomsRig) -> None:
    await rooms.make("w", "r")
    rooms.fake.rooms.publishers["/rooms/w/r"] = 1
    async with rooms.socket("w", "r") as client:
        await client.socket.send(json.dumps({"participant_id": "p", "role": "producer"}))
        code, (error,) = await client.closed()
        assert (code, error["code"]) == (4409, "ros_produces")
    info = (await rooms.http.get(rooms.room("w", "r"))).json()["room"]
    assert (info["participants"]["producer"], info["ros_publishers"]) == ("ros", 1)
    async with rooms.join("w", "r", "c") as consumer:
        rooms.fake.rooms.say("/rooms/w/r", RoomJoints(("a",), (1.0,)))
        assert (await consumer.until("joint_update"))["source"] == "ros"


async def test_a_fault_of_ros_does_not_end_the_look_at_who_produces(
    rooms: RoomsRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def failing(_topics: object) -> dict[str, int]:
        asked.append(1)
        if len(asked) < 3:
            raise RuntimeError("the graph cannot be read")
        return {"/rooms/w/r": 1}

    await rooms.make("w", "r")
    async with rooms.join("w", "r", "c"):
        monkeypatch.setattr(rooms.fake.rooms, "foreign_publishers", failing)
        room = rooms.services.rooms.hub.get(Place("robotics", "w", "r"))
        await until(lambda: room.ros_producers == 1, 15.0)


async def test_the_bridge_does_not_listen_where_a_client_produces(rooms: RoomsRig) -> None:
    await rooms.make("w", "r")
    listeners = rooms.fake.rooms.listeners["/rooms/w/r"]
    async with rooms.join("w", "r", "c"):
        assert len(listeners) == 1
        async with rooms.join("w", "r", "p", "producer"):
            assert listeners == []
        await until(lambda: len(listeners) == 1)
    await until(lambda: listeners == [])


async def test_an_e_stop_in_a_session_s_room_stops_its_arm_and_follows_the_guard(rooms: RoomsRig) -> None:
    await session(rooms, camera_names=["front"])
    await until(lambda: rooms.fake.guards.get("virtual/s"))
    assert (await rooms.http.post("/sessions/s/start")).status_code == 200
    async with (
        rooms.join("w", "s-joint-input", "robot", "producer") as robot,
        rooms.join("w", "s-front", "viewer", kind="video") as viewer,
    ):
        assert rooms.fake.guards["virtual/s"].state == RUNNING
        await viewer.say("emergency_stop", reason="smoke")
        assert (await viewer.until("emergency_stop"))["source"] == "viewer"
        await until(lambda: rooms.fake.guards["virtual/s"].estop_latched)
        # The other rooms of the session hear it from the guard.
        assert (await robot.until("emergency_stop"))["source"] == "guard"
        await robot.joints(gripper=1.0)
        assert await robot.refused() == "estop_latched"
        path = rooms.room("w", "s-joint-input")
        refused = await rooms.http.post(f"{path}/emergency_stop/reset")
        assert refused.status_code == 409 and "/api/control/reset" in refused.json()["detail"]
        assert (await rooms.http.post("/api/control/reset", params={"arm": "virtual/s"})).status_code == 200
        assert (await robot.until("status_update"))["status"] == "estop_reset"
        await robot.joints(gripper=1.0)
        await until(lambda: rooms.fake.rooms.joints[JOINT_INPUT])
        assert not (await rooms.http.get(path)).json()["room"]["estop_latched"]


async def test_an_e_stop_that_no_guard_takes_still_latches_the_room_and_says_so(rooms: RoomsRig) -> None:
    await session(rooms)
    await until(lambda: rooms.fake.guards.get("virtual/s"))
    rooms.fake.dead_guards.add("virtual/s")
    rooms.fake.dead_embodiments.add("virtual/s")
    async with rooms.join("w", "s-joint-input", "robot", "producer") as robot:
        await robot.say("emergency_stop", reason="x")
        await robot.until("emergency_stop")
        assert await robot.refused() == "estop_not_acknowledged"
        await robot.joints(gripper=1.0)
        assert await robot.refused() == "estop_latched"
        reset = await rooms.http.post(f"{rooms.room('w', 's-joint-input')}/emergency_stop/reset")
        assert (reset.status_code, reset.json()["estop_latched"]) == (200, False)
        await robot.say("emergency_stop", reason="again")
        assert await robot.refused() == "estop_not_acknowledged"
        # Stopped and reset by others later: the room follows.
        rooms.fake.dead_guards.clear()
        rooms.fake.do("virtual/s", "estop")
        rooms.fake.do("virtual/s", "reset")
        await robot.until("status_update", status="estop_reset", data={"source": "guard"})
        await robot.joints(gripper=1.0)
        await until(lambda: rooms.fake.rooms.joints[JOINT_INPUT])


async def test_a_room_of_clients_latches_by_itself(rooms: RoomsRig) -> None:
    await rooms.make("w", "r")
    async with rooms.join("w", "r", "p", "producer") as producer:
        await producer.say("emergency_stop")
        await producer.until("emergency_stop")
        command = {"joints": [{"name": "a", "value": 1}]}
        refused = await rooms.http.post(f"{rooms.room('w', 'r')}/command", json=command)
        assert (refused.status_code, refused.json()["code"]) == (409, "estop_latched")
        assert (await rooms.http.post(f"{rooms.room('w', 'r')}/emergency_stop/reset")).status_code == 200
        await producer.until("status_update", status="estop_reset")
        assert (await rooms.http.post(f"{rooms.room('w', 'r')}/command", json=command)).status_code == 200


async def test_a_client_s_room_gives_way_to_a_session_of_its_name(rooms: RoomsRig) -> None:
    await rooms.make("w", "s-joint-input")
    async with rooms.join("w", "s-joint-input", "c") as consumer:
        await session(rooms)
        code, before = await consumer.closed()
        assert code == 4410 and before[-1]["type"] == "room_closed"
    assert (await rooms.http.get(rooms.room("w", "s-joint-input"))).json()["room"]["session_id"] == "s"
