# SPDX-License-Identifier: Apache-2.0
"""E-stop and reset over REST: all arms at once, truthful about each, and never undone by anything but a reset."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig

STATUS_KEYS = {
    "state", "backend_state", "cycle_count", "error", "startup_error", "has_runtime", "active_task",
    "active_boundaries", "control_frequency_hz", "available_tasks", "planned_task", "planned_boundaries", "has_rust",
    "arm", "is_alive", "estop_latched", "message", "session_id", "not_ready", "decisions", "stages", "task", "warning",
    "enforcement_mode", "risk_level", "reaction", "reset_refusals", "config_version", "config_problem",
}  # fmt: skip


@pytest.fixture
async def two(data_dir: Path) -> AsyncIterator[Rig]:
    async with open_rig(data_dir, FakeArms(("left", "right"))) as rig:
        yield rig


async def estop(rig: Rig, **params: str) -> tuple[int, dict[str, Any]]:
    answer = await rig.http.post("/api/control/estop", params=params)
    return answer.status_code, answer.json()


async def test_status_has_dams_fields_and_ours(rig: Rig) -> None:
    await rig.create()
    status = (await rig.http.get("/api/control/status")).json()
    assert status.keys() >= STATUS_KEYS
    assert (status["state"], status["backend_state"], status["active_task"]) == ("idle", "ready", None)
    await rig.start()
    status = (await rig.http.get("/api/control/status", params={"arm": "arm"})).json()
    assert (status["state"], status["active_task"], status["error"]) == ("running", "default", None)
    assert status["session_id"] == "s" and status["active_boundaries"] == ["not_forever"]


async def test_a_running_session_reads_stopped_and_names_the_estop_until_and_after_reset(rig: Rig) -> None:
    await rig.create()
    await rig.create("other")
    await rig.start()
    code, body = await estop(rig)
    assert code == 200 and body["emergency_stop"] is True and body["state"] == "emergency"
    assert body["arms"]["arm"]["acknowledged"] is True
    assert body["arms"]["arm"]["sink"] == "acknowledged: the arm holds"
    status = await rig.status()
    assert status["status"] == "stopped" and "e-stop" in status["error_message"]
    assert (await rig.status("other"))["status"] == "ready"
    for session_id in ("s", "other"):
        for verb in ("start", "restart"):
            refused = await rig.verb(verb, session_id)
            assert refused.status_code == 409 and "e-stop" in refused.json()["detail"]
    assert (await rig.verb("stop")).status_code == 200
    assert rig.fake.guards["arm"].estop_latched
    reset = await rig.http.post("/api/control/reset")
    assert reset.status_code == 200 and reset.json()["reset"] is True and reset.json()["state"] == "idle"
    assert (await rig.status())["status"] == "stopped"
    await rig.start()


async def test_without_an_arm_estop_means_all_and_everything_else_asks_which(two: Rig) -> None:
    for path, method in (("status", "GET"), ("reset", "POST")):
        answer = await two.http.request(method, f"/api/control/{path}")
        assert answer.status_code == 400 and "left, right" in answer.json()["detail"]
        assert (await two.http.request(method, f"/api/control/{path}?arm=up")).status_code == 404
    code, body = await estop(two)
    assert code == 200 and set(body["arms"]) == {"left", "right"}
    assert all(guard.estop_latched for guard in two.fake.guards.values())
    assert (await two.http.post("/api/control/reset?arm=left")).status_code == 200
    assert [two.fake.guards[arm].estop_latched for arm in ("left", "right")] == [False, True]
    code, body = await estop(two, arm="left")
    assert code == 200 and set(body["arms"]) == {"left"}
    assert (await estop(two, arm="up"))[0] == 404


async def test_arms_are_stopped_side_by_side(data_dir: Path) -> None:
    """A guard that never answers (2 s here) delays no other arm: five in a row would take 10 s."""
    fake = FakeArms(tuple(f"a{i}" for i in range(6)), silence_s=2.0)
    async with open_rig(data_dir, fake, estop_timeout_s=2.0) as rig:
        fake.silent_guards = {f"a{i}" for i in range(5)}
        fake.dead_embodiments = set(fake.silent_guards)
        begin = time.monotonic()
        code, body = await estop(rig)
        assert time.monotonic() - begin < 6.0
        assert code == 200 and body["emergency_stop"] is False and body["state"] == "partial"
        assert [arm for arm, answer in body["arms"].items() if answer["acknowledged"]] == ["a5"]
        assert "did not answer" in body["arms"]["a0"]["message"]


async def test_an_estop_does_not_wait_for_a_start_that_waits(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(is_loading=True), start_timeout_s=60.0) as rig:
        await rig.create()
        starting = await rig.start_waiting()
        assert (await estop(rig))[0] == 200
        answer = await asyncio.wait_for(starting, 20.0)
        assert answer.status_code == 409 and "e-stop" in answer.json()["detail"]


async def test_with_a_dead_guard_the_embodiment_is_stopped_and_latches(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    rig.fake.dead_guards.add("arm")
    code, body = await estop(rig)
    assert code == 200 and body["arms"]["arm"]["by"] == "embodiment"
    assert "The guard did not answer" in body["arms"]["arm"]["message"]
    rig.fake.dead_guards.clear()
    rig.fake._new_guard("arm", boot_id="2")
    rig.fake.report()
    assert (await rig.status())["status"] == "stopped"
    assert (await rig.verb("start")).status_code == 409
    assert (await rig.http.post("/api/control/reset")).status_code == 200
    assert not rig.fake.embodiments["arm"].is_stopped
    await rig.start()


async def test_when_nothing_acknowledges_the_answer_is_an_error(rig: Rig) -> None:
    rig.fake.dead_embodiments.add("arm")
    rig.fake.dead_guards.add("arm")
    answer = await rig.http.post("/api/control/estop")
    assert answer.status_code == 503 and "Nothing acknowledged" in answer.json()["detail"]
    rig.fake.dead_guards.clear()
    rig.fake.silent_guards.add("arm")
    assert (await rig.http.post("/api/control/estop")).status_code == 504


async def test_without_any_arm_it_says_so(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(())) as rig:
        for path, method in (("estop", "POST"), ("status", "GET"), ("reset", "POST")):
            assert (await rig.http.request(method, f"/api/control/{path}")).status_code == 503
        assert (await rig.http.get("/api/arms")).json() == {"arms": []}


async def test_reset_of_a_running_arm_is_409(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    answer = await rig.http.post("/api/control/reset")
    assert answer.status_code == 409 and "running" in answer.json()["detail"]


async def test_a_guard_that_died_while_running_is_not_called_running(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    rig.fake.dead_guards.add("arm")
    rig.clock.advance(4.0)
    status = (await rig.http.get("/api/control/status")).json()
    assert (status["state"], status["is_alive"], status["has_runtime"]) == ("stopped", False, False)
    assert "does not report" in status["message"]


async def test_arms_are_listed_with_what_moves_there(rig: Rig) -> None:
    await rig.create(camera_names=["wrist"])
    await rig.create("v", robot=None, workspace_id="lab")
    await asyncio.sleep(0)  # the guards take up what is wanted
    arm, virtual = (await rig.http.get("/api/arms")).json()["arms"]
    assert arm["arm"] == "arm" and arm["cameras"] == ["front", "wrist"] and arm["sessions"] == ["s"]
    assert arm["embodiment"]["backend"] == "mujoco" and arm["task"]["task"] == "pick_place"
    assert not arm["is_virtual"]
    assert virtual["arm"] == "virtual/v" and virtual["is_virtual"] and virtual["embodiment"] is None
    assert virtual["camera_topics"] == {"front": "/rooms/lab/vZ2dfront"}
    await rig.http.delete("/sessions/v")
    await asyncio.sleep(0)  # the guards take up what is wanted
    assert [entry["arm"] for entry in (await rig.http.get("/api/arms")).json()["arms"]] == ["arm"]


async def test_scene_reset_is_refused_while_the_arm_is_commanded(rig: Rig) -> None:
    answer = await rig.http.post("/api/arms/arm/scene/reset")
    assert answer.status_code == 200 and answer.json()["task"]["episode"] == 2
    await rig.create()
    await rig.start()
    assert (await rig.http.post("/api/arms/arm/scene/reset")).status_code == 409
    assert (await rig.http.post("/api/arms/virtual%2Fnone/scene/reset")).status_code == 404
