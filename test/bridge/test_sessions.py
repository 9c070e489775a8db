# SPDX-License-Identifier: Apache-2.0
"""Seed 1's sessions: what is answered, what is refused, and that a refusal leaves nothing behind."""

import asyncio
from typing import Any

import pytest

from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig

STATS = {
    "inference_count": int, "images_received": dict, "joints_received": int, "commands_sent": int, "errors": int,
    "actions_in_queue": int, "policy_type": str, "misses": int, "images_lost": dict, "cycles": int,
    "late_cycles": int, "decisions": dict,
}  # fmt: skip
INFERENCE_STATS = {
    "inference_count": int, "total_inference_time": float, "average_inference_time": float, "average_fps": float,
    "is_loaded": bool, "device": str, "policy_path": str, "camera_names": list, "joint_names": list,
    "model_type": str, "model_config": str, "policy_type": str, "chunk_size": int, "action_history_length": int,
    "stages": dict, "queue_depth": int, "misses": int, "skew_ms": float, "unit": str, "metadata_sources": list,
}  # fmt: skip
QUEUE = {
    "session_id": str, "queue_length": int, "queue_maxlen": int, "n_action_steps": int,
    "control_frequency_hz": float, "inference_frequency_hz": float, "last_queue_cleanup": float,
    "data_status": dict,
}  # fmt: skip


def has_fields(answer: dict[str, Any], fields: dict[str, type]) -> None:
    wrong = {key: answer.get(key) for key, kind in fields.items() if not isinstance(answer.get(key), kind)}
    assert wrong == {}


async def test_health_names_the_sessions(rig: Rig) -> None:
    assert (await rig.http.get("/")).json() == {"message": "Inference Server is running", "status": "healthy"}
    assert (await rig.http.get("/health")).json() == {
        "status": "healthy",
        "active_sessions": 0,
        "session_ids": [],
    }
    await rig.create("a")
    assert (await rig.http.get("/health")).json()["session_ids"] == ["a"]


async def test_create_names_rooms_and_topics(rig: Rig) -> None:
    created = await rig.create("my-arm", camera_names=["front", "wrist"])
    assert created["camera_room_ids"] == {"front": "my-arm-front", "wrist": "my-arm-wrist"}
    assert created["joint_input_room_id"] == "my-arm-joint-input"
    assert created["joint_output_room_id"] == "my-arm-joint-output"
    assert created["topics"]["cameras"]["wrist"] == "/arm/cameras/wrist/image_raw"
    rooms = (await rig.status("my-arm"))["rooms"]
    assert rooms == created
    other = await rig.create("b")
    assert other["workspace_id"] != created["workspace_id"]


async def test_a_session_without_a_robot_gets_a_virtual_arm_with_rooms(rig: Rig) -> None:
    created = await rig.create("v", robot=None, workspace_id="lab")
    assert created["workspace_id"] == "lab"
    assert created["topics"] == {
        "arm": "virtual/v",
        "cameras": {"front": "/rooms/lab/vZ2dfront"},
        "joint_input": "/rooms/lab/vZ2djointZ2dinput",
        "joint_output": "/rooms/lab/vZ2djointZ2doutput",
    }
    (wanted,) = rig.fake.wanted.sessions
    assert wanted.is_virtual and wanted.joint_input_topic == created["topics"]["joint_input"]
    await rig.start("v")
    assert (await rig.status("v"))["status"] == "running"


async def test_optional_fields_reach_the_robot_side(rig: Rig) -> None:
    await rig.create(
        "s",
        language_instruction="pick the cube",
        policy_type="act",
        unit="degrees",
        rate_hz=25,
        joint_names=["a", "b"],
    )
    (wanted,) = rig.fake.wanted.sessions
    assert (wanted.language_instruction, wanted.policy_type) == ("pick the cube", "act")
    assert (wanted.unit, wanted.rate_hz, wanted.joint_names) == ("degrees", 25.0, ("a", "b"))


async def test_status_has_every_field_with_its_type_and_values_follow_the_run(rig: Rig) -> None:
    await rig.create(camera_names=["front", "wrist"])
    await rig.start()
    for _ in range(3):
        rig.fake.beat()
    first = await rig.status()
    has_fields(first["stats"], STATS)
    has_fields(first["inference_stats"], INFERENCE_STATS)
    assert first["status"] == "running" and first["error_message"] is None
    assert set(first["stats"]["images_received"]) == {"front", "wrist"}
    for _ in range(4):
        rig.fake.beat()
    second = await rig.status()
    assert second["stats"]["commands_sent"] - first["stats"]["commands_sent"] == 4
    assert second["stats"]["cycles"] == second["stats"]["decisions"]["PASS"] == 7
    assert second["stats"]["actions_in_queue"] == first["stats"]["actions_in_queue"] - 4
    assert second["stats"]["joints_received"] > first["stats"]["joints_received"]
    assert second["inference_stats"]["stages"]["network"].keys() >= {"p50", "p95", "p99"}
    for _ in range(50):
        rig.fake.beat()
    assert (await rig.status())["stats"]["inference_count"] == 2


async def test_counts_belong_to_their_session(rig: Rig) -> None:
    await rig.create("a")
    await rig.create("b")
    for session_id, beats in (("a", 3), ("b", 5)):
        await rig.start(session_id)
        for _ in range(beats):
            rig.fake.beat()
        await rig.verb("stop", session_id)
    assert (await rig.status("a"))["stats"]["commands_sent"] == 3
    assert (await rig.status("b"))["stats"]["commands_sent"] == 5


async def test_queue_drains_and_reset_empties_it(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    rig.fake.beat()
    queue = (await rig.http.get("/debug/sessions/s/queue")).json()
    has_fields(queue, QUEUE)
    assert queue["queue_length"] == 49 and queue["queue_maxlen"] == 200
    assert queue["control_frequency_hz"] == 50.0 and queue["inference_frequency_hz"] == 3.0
    assert queue["data_status"] == {
        "has_joint_data": True,
        "images_status": {"front": True},
        "images_updated": {"front": True},
        "joints_updated": True,
    }
    answer = await rig.http.post("/debug/sessions/s/reset")
    assert answer.json() == {"message": "Session s state reset successfully"}
    queue = (await rig.http.get("/debug/sessions/s/queue")).json()
    assert queue["queue_length"] == 0 and queue["last_queue_cleanup"] > 0
    assert ("arm", "clear_queue") in rig.fake.calls


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sessions/none"),
        ("DELETE", "/sessions/none"),
        ("POST", "/sessions/none/start"),
        ("POST", "/sessions/none/stop"),
        ("POST", "/sessions/none/restart"),
        ("POST", "/debug/sessions/none/reset"),
        ("GET", "/debug/sessions/none/queue"),
    ],
)
async def test_unknown_sessions_are_404(rig: Rig, method: str, path: str) -> None:
    answer = await rig.http.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Session none not found"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"session_id": 1, "policy_path": "demo"}',
        b'{"session_id": "s", "policy_path": "demo", "camera_names": "front"}',
        b'{"session_id": "s", "policy_path": "demo", "rate_hz": NaN}',
        b'{"session_id": "s", "policy_path": "demo", "rate_hz": Infinity}',
        b'{"session_id": "s", "policy_path": "demo", "rate_hz": -3}',
        b'{"session_id": "\\ud800", "policy_path": "demo"}',
        b'{"session_id": "s", "policy_path": "demo", "language_instruction": "\\ud800"}',
        b'{"session_id": "s", "policy_path": "demo", "joint_names": ["\\u0000"]}',
    ],
)
async def test_a_bad_body_is_422_in_the_seeds_shape(rig: Rig, body: bytes) -> None:
    answer = await rig.http.post("/sessions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    for problem in answer.json()["detail"]:
        assert set(problem) == {"loc", "msg", "type"}
    assert rig.fake.wanted.sessions == ()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"session_id": ""}, "session_id"),
        ({"session_id": "a/b"}, "session_id"),
        ({"session_id": "x" * 65}, "session_id"),
        ({"session_id": "\U0001f600" * 60, "robot": None}, "shorten"),
        ({"policy_path": ""}, "policy_path"),
        ({"policy_path": "../../etc"}, "roots"),
        ({"policy_path": "/etc"}, "roots"),
        ({"camera_names": ["front", "front"]}, "twice"),
        ({"camera_names": ["overhead"]}, "front, wrist"),
        ({"camera_names": ["joint-input"], "robot": None}, "joint rooms"),
        ({"camera_names": [f"c{i}" for i in range(17)], "robot": None}, "at most"),
        ({"workspace_id": "a/b"}, "workspace_id"),
        ({"unit": "furlongs"}, "Unit"),
        ({"robot": "nowhere"}, "Arms here: arm"),
        ({"robot": "no-arm!"}, "namespace"),
        ({"joint_names": ["a", "a"]}, "joint_names"),
        ({"arena_server_url": "http://[oops"}, "not a URL"),
    ],
)
async def test_unusable_requests_are_400_and_leave_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], word: str
) -> None:
    monkeypatch.setattr("lerobot_arena.bridge.creation._ARM_WAIT_S", 0.05)
    body = {"session_id": "s", "policy_path": "demo", "robot": "arm", **fields}
    answer = await rig.http.post("/sessions", json={k: v for k, v in body.items() if v is not None})
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["detail"]
    assert (await rig.http.get("/sessions")).json() == [] and rig.fake.wanted.sessions == ()


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://localhost:8000/", "http://127.0.0.1:8001"])
async def test_the_default_arena_and_this_bridge_mean_here(rig: Rig, url: str) -> None:
    await rig.create(arena_server_url=url)


async def test_a_policy_that_does_not_fit_is_400_and_leaves_nothing(data_dir: Any) -> None:
    """Through the real inspection: an empty folder under the root is no policy."""
    (data_dir / "policies" / "empty").mkdir(parents=True)
    async with open_rig(data_dir) as rig:
        rig.services.maker._inspect = _real_inspection(data_dir)
        answer = await rig.http.post(
            "/sessions", json={"session_id": "s", "policy_path": "empty", "robot": "arm"}
        )
        assert answer.status_code == 400
        assert "is no policy" in answer.json()["detail"]
        hold = await rig.http.post(
            "/sessions", json={"session_id": "s", "policy_path": "hold", "camera_names": [], "robot": "arm"}
        )
        assert hold.status_code == 200, hold.text
        config = (await rig.status())["inference_stats"]["model_config"]
        assert '"unit": "radians"' in config


def _real_inspection(data_dir: Any) -> Any:
    from functools import partial

    from lerobot_arena.bridge.creation import inspect_checkpoint

    return partial(inspect_checkpoint, robots=data_dir / "robots")


async def test_a_known_id_is_409_and_the_first_of_a_race_wins(rig: Rig) -> None:
    bodies = [
        {"session_id": "s", "policy_path": "demo", "robot": "arm", "workspace_id": f"w{i}"} for i in range(8)
    ]
    answers = await asyncio.gather(*(rig.http.post("/sessions", json=body) for body in bodies))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [409] * 7
    winner = next(answer.json()["workspace_id"] for answer in answers if answer.status_code == 200)
    assert (await rig.status())["workspace_id"] == winner
    later = await rig.http.post("/sessions", json=bodies[0])
    assert later.status_code == 409 and later.json()["detail"] == "Session s already exists"


async def test_two_sessions_cannot_share_a_room(rig: Rig) -> None:
    await rig.create("a", robot=None, workspace_id="lab", camera_names=["b-c"])
    answer = await rig.http.post(
        "/sessions",
        json={"session_id": "a-b", "policy_path": "demo", "workspace_id": "lab", "camera_names": ["c"]},
    )
    assert answer.status_code == 409
    assert [s["session_id"] for s in (await rig.http.get("/sessions")).json()] == ["a"]
    await rig.create("a-b", robot=None, workspace_id="other", camera_names=["c"])


async def test_there_are_only_so_many_sessions(data_dir: Any) -> None:
    async with open_rig(data_dir, max_sessions=2) as rig:
        await rig.create("a")
        await rig.create("b")
        answer = await rig.http.post("/sessions", json={"session_id": "c", "policy_path": "demo"})
        assert answer.status_code == 409


async def test_delete_stops_first_and_frees_the_id(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    answer = await rig.http.delete("/sessions/s")
    assert answer.json() == {"message": "Session s deleted"}
    assert rig.fake.guards["arm"].state == "stopped" and rig.fake.wanted.sessions == ()
    assert (await rig.http.get("/sessions")).json() == []
    await rig.create()
    assert (await rig.status())["stats"]["commands_sent"] == 0


async def test_a_restart_brings_sessions_back_stopped(data_dir: Any) -> None:
    async with open_rig(data_dir) as rig:
        await rig.create("a", workspace_id="lab")
        await rig.create("b")
        await rig.start("b")
        before = rig.fake.wanted
    async with open_rig(data_dir) as rig:
        assert rig.fake.wanted.generation > before.generation
        assert rig.fake.wanted.sessions == before.sessions
        assert {s["session_id"]: s["status"] for s in (await rig.http.get("/sessions")).json()} == {
            "a": "stopped",
            "b": "stopped",
        }
        assert rig.fake.calls == []
        await rig.start("b")


async def test_a_bridge_that_comes_back_shows_what_still_runs(data_dir: Any) -> None:
    """Its death does not touch the arm, so its return may not claim that the arm stopped."""
    fake = FakeArms()
    async with open_rig(data_dir, fake) as rig:
        await rig.create()
        await rig.start()
    async with open_rig(data_dir, fake) as rig:
        await asyncio.sleep(0)
        assert (await rig.status())["status"] == "running"
        assert fake.calls == [("arm", "start")]
