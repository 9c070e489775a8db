# SPDX-License-Identifier: Apache-2.0
"""A client written from the protocol's tables alone, on a real server, below both mounts.

Tables: lerobot-arena-upstream §1.1–1.4; what is ours comes as further fields, which clients of the original ignore.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lerobot_arena.rooms.jpeg import pack_v1
from lerobot_arena.testing.rooms_rig import RoomsRig, serve_rooms

JOINED = {"type", "room_id", "workspace_id", "role", "timestamp"}


@pytest.fixture(params=["", "/api"], ids=["root", "api"])
async def rig(data_dir: Path, request: pytest.FixtureRequest) -> AsyncIterator[RoomsRig]:
    async with serve_rooms(data_dir) as made:
        made.mount = request.param
        yield made


async def test_rest_of_robotics_rooms(rig: RoomsRig) -> None:
    http, rooms = rig.http, f"{rig.mount}/robotics/workspaces/w/rooms"
    assert (await http.get(rooms)).json() == {"success": True, "workspace_id": "w", "rooms": [], "total": 0}
    made = (await http.post(rooms)).json()
    assert made.keys() == {"success", "workspace_id", "room_id", "message"} and made["workspace_id"] == "w"
    named = await http.post(rooms, json={"room_id": "r", "workspace_id": "x", "robot_type": "so-arm100"})
    assert named.json()["room_id"] == "r" and named.json()["workspace_id"] == "w"
    (_, second) = (await http.get(rooms)).json()["rooms"]
    nobody = {"producer": None, "consumers": [], "total": 0}
    assert (
        second.items() >= {"id": "r", "workspace_id": "w", "participants": nobody, "joints_count": 0}.items()
    )
    command = [{"name": "shoulder_pan", "value": 12.5, "speed": 10}, {"name": "gripper", "value": -3}]
    done = (await http.post(f"{rooms}/r/command", json={"joints": command})).json()
    assert done.items() >= {"success": True, "workspace_id": "w", "room_id": "r", "joints_updated": 2}.items()
    state = (await http.get(f"{rooms}/r/state")).json()["state"]
    assert state["joints"] == {"shoulder_pan": 12.5, "gripper": -3.0}
    assert state.keys() >= {"room_id", "workspace_id", "joints", "participants", "timestamp"}
    info = (await http.get(f"{rooms}/r")).json()["room"]
    assert (info["joints_count"], info["has_producer"], info["active_consumers"]) == (2, False, 0)
    assert (await http.delete(f"{rooms}/r")).json()["success"]
    for path in ("", "/state"):
        missing = await http.get(f"{rooms}/r{path}")
        assert (missing.status_code, missing.json()["detail"]) == (404, "Room not found")
    assert (await http.delete(f"{rooms}/r")).status_code == 404
    assert (await http.post(f"{rooms}/r/command", json={"joints": command})).status_code == 404


@pytest.mark.parametrize("kind", ["robotics", "video"])
async def test_rest_about_the_service(rig: RoomsRig, kind: str) -> None:
    base = f"{rig.mount}/{kind}"
    status = (await rig.http.get(f"{base}/status")).json()
    assert status["version"] == "2.0.0" and status["supported_roles"] == ["producer", "consumer"]
    assert status.keys() >= {
        "service",
        "status",
        "workspaces_count",
        "rooms_count",
        "connections_count",
        "cleanup",
    }
    assert status["cleanup"] == {
        "enabled": True,
        "inactivity_timeout_hours": 1.0,
        "cleanup_interval_minutes": 15.0,
    }
    assert (await rig.http.get(f"{base}/health")).json() == {"status": "healthy", "service": kind}
    await rig.make("w", "r", kind=kind)
    cleanup = (await rig.http.get(f"{base}/cleanup/status")).json()["cleanup_status"]
    assert cleanup["total_rooms"] == 1
    assert cleanup["rooms"][0].keys() == {
        "workspace_id", "room_id", "age_minutes", "inactivity_minutes", "has_connections", "will_be_cleaned"
    }  # fmt: skip
    result = (await rig.http.post(f"{base}/cleanup/manual")).json()["cleanup_result"]
    assert (result["cleanup_triggered"], result["rooms_before"], result["rooms_removed"]) == (True, 1, 0)


async def test_a_command_outside_the_table_is_422(rig: RoomsRig) -> None:
    await rig.make("w", "r")
    for joints in (
        [],
        [{"name": "a", "value": 361}],
        [{"name": "a"}],
        [{"name": "", "value": 1}],
        [{"name": "n" * 51, "value": 1}],
        [{"name": "a", "value": 1, "speed": 101}],
        [{"name": f"j{i}", "value": 1} for i in range(21)],
    ):
        answer = await rig.http.post(f"{rig.room('w', 'r')}/command", json={"joints": joints})
        assert answer.status_code == 422, (joints, answer.text)


async def test_a_command_with_nan_is_refused_and_the_state_stays_readable(rig: RoomsRig) -> None:
    await rig.make("w", "r")
    path = rig.room("w", "r")
    headers = {"content-type": "application/json"}
    body = '{"joints":[{"name":"a","value":NaN}]}'
    assert (await rig.http.post(f"{path}/command", content=body, headers=headers)).status_code == 422
    assert (await rig.http.get(f"{path}/state")).json()["state"]["joints"] == {}


async def test_a_robotics_room_from_join_to_leave(rig: RoomsRig) -> None:
    await rig.make("w", "r")
    async with rig.join("w", "r", "p", "producer") as producer, rig.join("w", "r", "c") as consumer:
        assert [message["type"] for message in producer.greeting] == ["joined"]
        sync, joined = consumer.greeting
        assert (sync["type"], sync["data"]) == ("state_sync", {}) and "timestamp" in sync
        assert joined.keys() >= JOINED and (joined["room_id"], joined["role"]) == ("r", "consumer")
        await producer.joints(a=1.0, b=2.0)
        update = await consumer.until("joint_update")
        assert update["data"] == [{"name": "a", "value": 1.0}, {"name": "b", "value": 2.0}]
        assert update["source"] == "p" and "timestamp" in update
        await producer.joints(a=1.0)
        assert (await consumer.until("joint_update"))["data"] == [{"name": "a", "value": 1.0}]
        await rig.http.post(f"{rig.room('w', 'r')}/command", json={"joints": [{"name": "b", "value": 5}]})
        assert (await consumer.until("joint_update"))["source"] == "api"
        for client in (producer, consumer):
            await client.say("heartbeat")
            assert "timestamp" in await client.until("heartbeat_ack")
        await consumer.say("emergency_stop", reason="hand in the way")
        for client in (producer, consumer):
            stop = await client.until("emergency_stop")
            assert (stop["reason"], stop["source"]) == ("hand in the way", "c")
        await producer.say("dance")
        error = await producer.until("error")
        assert error["code"] == "unknown_type" and "message" in error and "timestamp" in error
        info = (await rig.http.get(rig.room("w", "r"))).json()["room"]
        assert info["participants"] == {"producer": "p", "consumers": ["c"], "total": 2}
    state = (await rig.http.get(f"{rig.room('w', 'r')}/state")).json()["state"]
    assert state["joints"] == {"a": 1.0, "b": 5.0}


async def test_a_refused_join_says_so_in_the_words_of_the_original(rig: RoomsRig) -> None:
    await rig.make("w", "r", max_consumers=1)
    async with rig.join("w", "r", "p", "producer"), rig.join("w", "r", "c"):
        for join, code, close in (
            ({"participant_id": "x", "role": "producer"}, "producer_taken", 4409),
            ({"participant_id": "c", "role": "consumer"}, "participant_taken", 4409),
            ({"participant_id": "d", "role": "consumer"}, "room_full", 4429),
            ({"participant_id": "d"}, "join_invalid", 4400),
            ({"role": "consumer"}, "join_invalid", 4400),
            ("nonsense", "join_invalid", 4400),
        ):
            async with rig.socket("w", "r") as late:
                await late.socket.send(json.dumps(join))
                closed, (error,) = await late.closed()
                assert (error["type"], error["message"], error["code"]) == ("error", "Cannot join room", code)
                assert closed == close


async def test_a_room_that_is_not_there_cannot_be_joined(rig: RoomsRig) -> None:
    for kind in ("robotics", "video"):
        async with rig.socket("w", "none", kind=kind) as client:
            await client.socket.send('{"participant_id":"c","role":"consumer"}')
            closed, (error,) = await client.closed()
            assert (error["message"], error["code"], closed) == ("Cannot join room", "not_found", 4404)


async def test_rest_of_video_rooms(rig: RoomsRig) -> None:
    rooms = f"{rig.mount}/video/workspaces/w/rooms"
    config = {
        "encoding": "h264",
        "resolution": {"width": 320, "height": 240},
        "framerate": 15,
        "bitrate": 500_000,
    }
    body = {"room_id": "v", "config": {**config, "quality": 60}, "recovery_config": {"frame_timeout_ms": 500}}
    assert (await rig.http.post(rooms, json=body)).status_code == 200
    (listed,) = (await rig.http.get(rooms)).json()["rooms"]
    assert listed["config"].items() >= {**config, "quality": 60}.items() and listed["frame_count"] == 0
    info = (await rig.http.get(f"{rooms}/v")).json()["room"]
    assert info["recovery_config"]["frame_timeout_ms"] == 500 and info["has_producer"] is False
    state = (await rig.http.get(f"{rooms}/v/state")).json()["state"]
    assert state["last_frame_time"] is None and state["current_config"]["encoding"] == "h264"
    for wrong in ({"config": {"framerate": 0}}, {"config": {"bitrate": 5}}, {"recovery_config": {"x": 1}}):
        assert (await rig.http.post(rooms, json={"room_id": "v2", **wrong})).status_code == 422
    assert (await rig.http.get(f"{rig.mount}/video/")).status_code == 200
    assert (await rig.http.delete(f"{rooms}/v")).status_code == 200


async def test_a_video_room_from_join_to_leave(rig: RoomsRig) -> None:
    await rig.make("w", "v", kind="video")
    async with rig.join("w", "v", "p", "producer", kind="video") as producer:
        assert [message["type"] for message in producer.greeting] == ["joined"]
        async with rig.join("w", "v", "c", kind="video") as consumer:
            assert [message["type"] for message in consumer.greeting] == ["joined"]
            told = await producer.until("participant_joined")
            assert (told["room_id"], told["participant_id"], told["role"]) == ("v", "c", "consumer")
            await producer.say("stream_started", config={"framerate": 30})
            assert (await consumer.until("stream_started"))["participant_id"] == "p"
            await producer.say("video_config_update", config={"encoding": "h264"})
            update = await consumer.until("video_config_update")
            assert update["source"] == "p" and update["config"]["encoding"] == "h264"
            assert (await rig.http.get(rig.room("w", "v", kind="video"))).status_code == 200
            stats = {"stream_id": "s", "frame_count": 3, "average_fps": 29.5}
            await producer.say("stream_stats", stats=stats)
            assert (await consumer.until("stream_stats"))["stats"] == stats
            await producer.say("stream_stopped", reason="done")
            assert (await consumer.until("stream_stopped"))["reason"] == "done"
            await consumer.say("emergency_stop", reason="x")
            for client in (producer, consumer):
                assert (await client.until("emergency_stop"))["source"] == "c"
        assert (await producer.until("participant_left"))["participant_id"] == "c"


async def signal(rig: RoomsRig, client_id: str, **message: object) -> tuple[int, dict[str, object]]:
    path = f"{rig.room('w', 'v', kind='video')}/webrtc/signal"
    answer = await rig.http.post(path, json={"client_id": client_id, "message": message})
    return answer.status_code, answer.json()


async def test_signalling_between_two_clients(rig: RoomsRig) -> None:
    await rig.make("w", "v", kind="video")
    async with (
        rig.join("w", "v", "p", "producer", kind="video") as producer,
        rig.join("w", "v", "c", kind="video") as consumer,
    ):
        status, answer = await signal(rig, "p", type="offer", sdp="v=0 offer", target_consumer="c")
        assert status == 200 and answer["response"]["success"] is True and answer["workspace_id"] == "w"
        offer = await consumer.until("webrtc_offer")
        assert (offer["offer"], offer["from_producer"]) == ({"type": "offer", "sdp": "v=0 offer"}, "p")
        assert (await signal(rig, "c", type="answer", sdp="v=0 answer", target_producer="p"))[0] == 200
        got = await producer.until("webrtc_answer")
        assert (got["answer"], got["from_consumer"]) == ({"type": "answer", "sdp": "v=0 answer"}, "c")
        candidate = {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "u"}
        assert (await signal(rig, "p", type="ice", candidate=candidate, target_consumer="c"))[0] == 200
        ice = await consumer.until("webrtc_ice")
        assert (ice["candidate"], ice["from_producer"], ice["from_consumer"]) == (candidate, "p", None)
        # Consumers of the original name no target.
        assert (await signal(rig, "c", type="ice", candidate=candidate))[0] == 200
        assert (await producer.until("webrtc_ice"))["from_consumer"] == "c"


async def test_signals_of_nobody_and_to_nobody_are_refused(rig: RoomsRig) -> None:
    await rig.make("w", "v", kind="video")
    async with rig.join("w", "v", "p", "producer", kind="video"), rig.join("w", "v", "c", kind="video"):
        for client_id, message, status, code in (
            ("ghost", {"type": "offer", "sdp": "x", "target_consumer": "c"}, 404, "no_such_participant"),
            ("p", {"type": "offer", "sdp": "x", "target_consumer": "ghost"}, 404, "no_such_participant"),
            ("c", {"type": "answer", "sdp": "x", "target_producer": "c"}, 404, "no_such_participant"),
            ("p", {"type": "offer", "sdp": "x"}, 400, "target_missing"),
            ("p", {"type": "offer", "target_consumer": "c"}, 400, "sdp_missing"),
            ("p", {"type": "offer", "sdp": "x", "target_consumer": "arena"}, 503, "media_unavailable"),
        ):
            got, answer = await signal(rig, client_id, **message)
            assert (got, answer.get("code")) == (status, code), answer
        assert (await signal(rig, "p", type="dance"))[0] == 422
        path = f"{rig.room('w', 'v', kind='video')}/webrtc/signal"
        head = '{"client_id":"p","message":{"target_consumer":"c",'
        for text in (
            '"type":"ice","candidate":{"x":1000000000000000000000000}}}',
            '"type":"ice","candidate":{"candidate":"\\ud800"}}}',
            '"type":"ice","candidate":{"x":' + "[" * 300 + "]" * 300 + "}}}",
            '"type":"offer","sdp":"\\ud800"}}',
        ):
            raw = await rig.http.post(path, content=head + text, headers={"content-type": "application/json"})
            assert raw.status_code in {400, 422}, (text[:60], raw.text)
        rig.fake.media.beat()
        for field in ('"junk":NaN', '"junk":1000000000000000000000000'):
            text = f'"type":"offer","sdp":"v=0",{field}}}}}'
            raw = await rig.http.post(path, content=head + text, headers={"content-type": "application/json"})
            assert raw.status_code == 200, raw.text
        (*_, sent) = rig.fake.media.sent
        assert json.loads(sent.payload) == {"type": "offer", "sdp": "v=0", "target_consumer": "c"}


async def test_pictures_by_the_socket(rig: RoomsRig) -> None:
    import cv2
    import numpy as np

    picture = bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1])
    await rig.make("w", "v", kind="video")
    async with (
        rig.join("w", "v", "p", "producer", kind="video", media="jpeg") as producer,
        rig.join("w", "v", "c", kind="video", media="jpeg") as consumer,
    ):
        await producer.socket.send(pack_v1("cam", picture))
        while not isinstance(got := await consumer.next(), bytes):
            continue
        assert got == pack_v1("v", picture)
        await producer.socket.send(b"\x01\x00no picture")
        assert await producer.refused() == "frame_invalid"
    state = (await rig.http.get(f"{rig.room('w', 'v', kind='video')}/state")).json()["state"]
    assert state["frame_count"] == 1 and state["last_frame_time"]
    assert rig.fake.rooms.pictures["/rooms/w/v"][0][0] == picture
