# SPDX-License-Identifier: Apache-2.0
"""Boundaries and tasks over REST: strict, whole or not at all, and answered only when every guard has them in force."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.core.session import PAUSED
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig

JSON = {"Content-Type": "application/json"}
NODE = {"callback": "task_timeout", "params": {"timeout_s": 30.0}, "fallback": "stop"}
BODY = {"name": "short", "layer": "L2", "nodes": [NODE]}


async def names(rig: Rig) -> list[str]:
    answer = (await rig.http.get("/api/boundaries")).json()
    return [entry["name"] for entry in answer["boundaries"]]


def in_force(rig: Rig, arm: str = "arm") -> list[str]:
    """What the guard of an arm was told last."""
    assert rig.fake.guards[arm].config_version == rig.fake.config.version
    return [item.name for item in rig.fake.config.boundaries]


async def put(rig: Rig, name: str, timeout_s: float, **more: Any) -> Any:
    node = {**NODE, "params": {"timeout_s": timeout_s}}
    return await rig.http.put(f"/api/boundaries/{name}", json={"nodes": [node], **more})


async def test_from_post_to_delete(rig: Rig) -> None:
    before = rig.fake.config.version
    created = await rig.http.post("/api/boundaries", json=BODY)
    assert created.status_code == 201, created.text
    body = created.json()
    assert body["version"] == 1 and body["in_force_on"] == ["arm"] and body["config_version"] > before
    assert in_force(rig) == ["not_forever", "steady_policy", "short"] == await names(rig)
    read = (await rig.http.get("/api/boundaries/short")).json()
    assert read["type"] == "single" and read["nodes"][0]["warn_frames"] == 1
    # What was read may be sent back as it is, and says nothing new.
    same = await rig.http.put("/api/boundaries/short", json=read)
    assert same.status_code == 200 and same.json()["version"] == 1
    assert same.json()["config_version"] == body["config_version"]
    changed = await put(rig, "short", 20.0)
    assert changed.json()["version"] == 2 and changed.json()["nodes"][0]["params"] == {"timeout_s": 20.0}
    assert (await put(rig, "short", 10.0, version=1)).status_code == 409
    gone = await rig.http.delete("/api/boundaries/short")
    assert gone.status_code == 204 and gone.content == b""
    assert in_force(rig) == ["not_forever", "steady_policy"]
    for method in ("GET", "PUT", "DELETE"):
        answer = await rig.http.request(
            method, "/api/boundaries/short", json=BODY if method == "PUT" else None
        )
        assert answer.status_code == 404
    assert "not_forever" in (await rig.http.get("/api/boundaries/not_foreve")).json()["detail"]


async def test_a_second_of_the_same_name_is_409(rig: Rig) -> None:
    answers = await asyncio.gather(*(rig.http.post("/api/boundaries", json=BODY) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"nam": "x"}, "Did you mean 'name'"),
        ({"layer": "L9"}, "layer"),
        ({"type": "lisst"}, "Did you mean 'list'"),
        ({"nodes": []}, "nodes"),
        ({"nodes": [{**NODE, "callback": "task_timeot"}]}, "Did you mean 'task_timeout'"),
        ({"nodes": [{**NODE, "params": {"timeout": 3}}]}, "Did you mean 'timeout_s'"),
        ({"nodes": [{**NODE, "params": {"timeout_s": -1}}]}, "timeout_s"),
        ({"nodes": [{**NODE, "fallback": "stopp"}]}, "Did you mean 'stop'"),
        ({"nodes": [{**NODE, "callbak": 1}]}, "Did you mean 'callback'"),
        ({"nodes": [{"callback": "finite"}]}, "always there"),
        ({"description": "half \ud800"}, "Unicode"),
    ],
)
async def test_what_cannot_be_read_is_422_with_the_nearest_word_and_changes_nothing(
    rig: Rig, change: dict[str, Any], said: str
) -> None:
    config = rig.fake.config
    for path, method in (("", "POST"), ("/not_forever", "PUT"), ("?validate=true", "POST")):
        content = json.dumps({"name": "not_forever" if method == "PUT" else "n", "nodes": [NODE], **change})
        answer = await rig.http.request(method, f"/api/boundaries{path}", content=content, headers=JSON)
        assert answer.status_code == 422, answer.text
        assert said in answer.json()["detail"] or "cannot be changed" in answer.json()["detail"]
    assert rig.fake.config == config


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, '"30"', "true", "null"]
)
async def test_a_number_that_is_none_is_422(rig: Rig, number: str) -> None:
    text = f'{{"name": "n", "nodes": [{{"callback": "task_timeout", "params": {{"timeout_s": {number}}}}}]}}'
    answer = await rig.http.post("/api/boundaries", content=text, headers=JSON)
    assert answer.status_code == 422 and "timeout_s" in answer.json()["detail"]
    for body in ("[]", "3", '"x"', "{", ""):
        assert (await rig.http.post("/api/boundaries", content=body, headers=JSON)).status_code == 422


async def test_a_list_per_joint_fits_an_arm_that_is_here_or_is_422(rig: Rig) -> None:
    def body(length: int) -> dict[str, Any]:
        return {"name": "v", "nodes": [{"callback": "velocity", "params": {"max_velocity": [1.0] * length}}]}

    for length in (1, 5, 7):
        for query in ("", "?validate=true"):
            answer = await rig.http.post(f"/api/boundaries{query}", json=body(length))
            assert answer.status_code == 422 and "arm has 6" in answer.json()["detail"]
    assert (await rig.http.post("/api/boundaries", json=body(6))).status_code == 201
    corners = {"lower_m": [0.1, 0.0, 0.0], "upper_m": [0.1, 0.4, 0.5]}
    inverted = {"name": "w", "nodes": [{"callback": "workspace_box", "params": corners}]}
    assert (await rig.http.post("/api/boundaries", json=inverted)).status_code == 422


async def test_without_an_arm_any_length_is_a_matter_for_its_guard(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(())) as rig:
        node = {"callback": "velocity", "params": {"max_velocity": [1.0] * 3}}
        answer = await rig.http.post("/api/boundaries", json={"name": "v", "nodes": [node]})
        assert answer.status_code == 201


async def test_a_trial_changes_nothing(rig: Rig) -> None:
    config = rig.fake.config
    answer = await rig.http.post("/api/boundaries?validate=true", json=BODY)
    assert answer.status_code == 200 and answer.json()["valid"] is True
    assert (
        await rig.http.put("/api/boundaries/not_forever?validate=true", json={"nodes": [NODE]})
    ).status_code == 200
    assert (
        await rig.http.put("/api/boundaries/none?validate=true", json={"nodes": [NODE]})
    ).status_code == 404
    assert rig.fake.config == config


async def test_what_a_guard_refuses_is_409_with_its_reason_and_taken_back(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(("left", "right"))) as rig:
        rig.fake.config_refusals["right"] = "Boundary 'short' does not fit this arm: it has no geometry."
        answer = await rig.http.post("/api/boundaries", json=BODY)
        assert answer.status_code == 409 and "no geometry" in answer.json()["detail"]
        assert await names(rig) == ["not_forever", "steady_policy"] == in_force(rig, "left")
    async with open_rig(data_dir) as again:
        assert await names(again) == ["not_forever", "steady_policy"], "it was never written either"


async def test_a_guard_that_never_shows_it_is_504_and_taken_back(rig: Rig) -> None:
    rig.fake.deaf_guards.add("arm")
    answer = await rig.http.post("/api/boundaries", json=BODY)
    assert answer.status_code == 504 and "'arm'" in answer.json()["detail"]
    assert await names(rig) == ["not_forever", "steady_policy"]
    rig.fake.deaf_guards.clear()
    rig.fake.take_config(rig.fake.config)
    assert in_force(rig) == ["not_forever", "steady_policy"]


async def test_a_dead_guard_is_not_waited_for_and_gets_it_when_it_comes_back(rig: Rig) -> None:
    rig.fake.dead_guards.add("arm")
    rig.clock.advance(10.0)
    created = await rig.http.post("/api/boundaries", json=BODY)
    assert created.status_code == 201 and created.json()["in_force_on"] == []


async def test_a_database_that_cannot_be_written_is_503_and_everything_stays(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def full(*_: Any) -> None:
        raise OperationalError("INSERT", {}, OSError("disk full"))

    monkeypatch.setattr(rig.services.config._store, "write", full)
    answer = await rig.http.post("/api/boundaries", json=BODY)
    assert answer.status_code == 503 and "disk full" in answer.json()["detail"]
    await asyncio.sleep(0)
    assert in_force(rig) == ["not_forever", "steady_policy"]


async def test_changes_survive_a_restart_and_versions_only_grow(data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        await rig.http.post("/api/boundaries", json=BODY)
        await put(rig, "short", 20.0)
        version = rig.fake.config.version
    async with open_rig(data_dir) as rig:
        assert await names(rig) == ["not_forever", "steady_policy", "short"]
        assert (await rig.http.get("/api/boundaries/short")).json()["version"] == 2
        assert rig.fake.config.version > version


async def test_a_boundary_of_an_older_package_is_shown_with_its_problem(data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        config = rig.fake.config
        broken = replace(
            config.boundaries[1], config='{"name": "steady_policy", "nodes": [{"callback": "gone"}]}'
        )
        rig.services.config._store.write(replace(config, boundaries=(config.boundaries[0], broken)))
    async with open_rig(data_dir) as rig:
        listed = (await rig.http.get("/api/boundaries")).json()["boundaries"]
        assert "'gone'" in listed[1]["problem"] and "problem" not in listed[0]
        assert (await rig.http.delete("/api/boundaries/steady_policy")).status_code == 204


# While something runs


@pytest.mark.parametrize("state", ["running", "paused"])
async def test_a_run_may_be_tightened_and_never_loosened(rig: Rig, state: str) -> None:
    await rig.create()
    await rig.start()
    if state == PAUSED:
        assert (await rig.http.post("/api/control/pause")).status_code == 200
    tighter = await put(rig, "not_forever", 100.0)
    assert tighter.status_code == 200, tighter.text
    for timeout_s in (101.0, 600.0):
        answer = await put(rig, "not_forever", timeout_s)
        assert answer.status_code == 409 and "timeout_s" in answer.json()["detail"]
        assert state in answer.json()["detail"]
        assert (
            await rig.http.put("/api/boundaries/not_forever?validate=true", json={"nodes": [NODE]})
        ).status_code
    assert json.loads(rig.fake.config.boundaries[0].config)["nodes"][0]["params"] == {"timeout_s": 100.0}
    # Nothing runs under this one.
    assert (await rig.http.delete("/api/boundaries/steady_policy")).status_code == 204
    assert (await rig.http.post("/api/control/stop")).status_code == 200
    assert (await put(rig, "not_forever", 600.0)).status_code == 200


async def test_a_boundary_in_use_is_not_deleted(rig: Rig) -> None:
    answer = await rig.http.delete("/api/boundaries/not_forever")
    assert answer.status_code == 409 and "default" in answer.json()["detail"]
    await rig.create()
    await rig.start()
    # Active without a task that names it: the guard's own word counts.
    guard = rig.fake.guards["arm"]
    rig.fake._boundaries_of = lambda task, arm: ("steady_policy.reach",)  # type: ignore[method-assign]
    rig.fake.guards["arm"] = replace(guard)
    rig.fake.report()
    answer = await rig.http.delete("/api/boundaries/steady_policy")
    assert answer.status_code == 409 and "active" in answer.json()["detail"]


# Tasks


async def test_tasks_name_boundaries_that_exist(rig: Rig) -> None:
    task = {"name": "pick", "boundaries": ["steady_policy"], "limits": {"velocity_scale": 0.5}}
    created = await rig.http.post("/api/tasks", json=task)
    assert created.status_code == 201 and created.json()["limits"]["acceleration_scale"] == 1.0
    assert (await rig.http.post("/api/tasks", json=task)).status_code == 409
    assert (await rig.http.get("/api/tasks/pick")).json()["boundaries"] == ["steady_policy"]
    listed = (await rig.http.get("/api/tasks")).json()["tasks"]
    assert [entry["name"] for entry in listed] == ["default", "pick"]
    assert (await rig.http.delete("/api/boundaries/steady_policy")).status_code == 409
    for change, said in (
        ({"boundaries": ["steady_polic"]}, "Did you mean 'steady_policy'"),
        ({"boundaries": [], "virtual_boundaries": []}, "at least one"),
        ({"limits": {"velocity_scale": 2.0}}, "velocity_scale"),
        ({"timeout_s": 10**400}, "timeout_s"),
        ({"limits": {"velocity": 0.5}}, "Did you mean 'velocity_scale'"),
        ({"timeout_s": -1}, "timeout_s"),
    ):
        for method, path in (("POST", "/api/tasks"), ("PUT", "/api/tasks/pick")):
            answer = await rig.http.request(method, path, json={**task, **change})
            assert answer.status_code == 422 and said in answer.json()["detail"]
    slower = await rig.http.put("/api/tasks/pick", json={**task, "limits": {"velocity_scale": 0.2}})
    assert slower.status_code == 200
    assert (await rig.http.delete("/api/tasks/pick")).status_code == 204
    assert (await rig.http.delete("/api/tasks/pick")).status_code == 404
    assert (await rig.http.delete("/api/tasks/default")).status_code == 409
    assert (await rig.http.put("/api/tasks/none", json=task | {"name": "none"})).status_code == 404


async def test_a_task_that_runs_stays_as_it_is(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    body = (await rig.http.get("/api/tasks/default")).json()
    answer = await rig.http.put("/api/tasks/default", json={**body, "timeout_s": 5.0})
    assert answer.status_code == 409 and "running" in answer.json()["detail"]
    assert (await rig.http.put("/api/tasks/default", json=body)).status_code == 200
    await rig.http.post("/api/control/stop")
    assert (await rig.http.put("/api/tasks/default", json={**body, "timeout_s": 5.0})).status_code == 200


# What there is to choose from


async def test_the_catalog_has_every_check_with_bounds_units_and_directions(rig: Rig) -> None:
    from lerobot_arena.guard.checks.table import CHECKS

    callbacks = {
        item["name"]: item for item in (await rig.http.get("/api/catalog/callbacks")).json()["callbacks"]
    }
    assert list(callbacks) == list(CHECKS)
    assert all(
        item["description"] and item["layer"] in {"L0", "L1", "L2", "L3"} for item in callbacks.values()
    )
    (timeout,) = callbacks["task_timeout"]["params"]
    assert timeout["unit"] == "s" and timeout["type"] == "number" and timeout["tighter"] == "lower"
    assert callbacks["finite"]["is_mandatory"] and not callbacks["finite"]["needs_boundary"]
    assert "slow_down" in callbacks["chunk_overlap"]["fallbacks"]
    assert "slow_down" not in callbacks["task_timeout"]["fallbacks"]
    layers = (await rig.http.get("/api/catalog/guards")).json()["guards"]
    assert sorted(name for layer in layers for name in layer["callbacks"]) == sorted(CHECKS)


async def test_a_new_database_begins_with_what_is_shipped() -> None:
    config = shipped_config()
    assert "default" in [item.name for item in config.tasks] and config.boundaries
