# SPDX-License-Identifier: Apache-2.0
"""Seed 2's deployments and rollouts over REST: every kind by name, waking and sleeping, and whose is what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.platform.catalog.publishing import Upload
from lerobot_arena.platform.deployments.deployment import KINDS, PI0, ROBOT
from lerobot_arena.testing.bridge_rig import Rig
from lerobot_arena.testing.catalog_files import cart_policy, robot_zip
from lerobot_arena.testing.checkpoint_zip import checkpoint_zip
from lerobot_arena.testing.seed_schemas import check_answer

SEED = Path(__file__).with_name("seed2.openapi.json")


@dataclass
class World:
    """Anna has published a cart and a policy for it; Eve has an account as well."""

    rig: Rig
    anna: httpx.AsyncClient
    eve: httpx.AsyncClient

    async def deploy(self, kind: str = "instance.mujoco.onnx", **fields: Any) -> dict[str, Any]:
        body = {"title": "My cart", "policyRef": "anna/drive", "runtimeKind": kind, **fields}
        answer = await self.anna.post("/api/deployments", json=body)
        assert answer.status_code == 201, answer.text
        check_answer(SEED, "DeploymentEnvelope", answer.json())
        deployment: dict[str, Any] = answer.json()["deployment"]
        return deployment

    async def rollout(self, deployment: dict[str, Any]) -> dict[str, Any]:
        rollouts = (await self.anna.get("/api/rollout")).json()
        check_answer(SEED, "RolloutListEnvelope", rollouts)
        return next(one for one in rollouts["rollouts"] if one["deploymentId"] == deployment["id"])


@pytest.fixture
async def world(rig: Rig, tmp_path: Path) -> AsyncIterator[World]:
    bundle, model = tmp_path / "robot.zip", tmp_path / "policy.onnx"
    bundle.write_bytes(robot_zip())
    model.write_bytes(cart_policy())
    publisher = rig.services.published.publisher
    robot = {"slugPath": "cart", "title": "C", "robotKey": "k"}
    policy = {
        "slugPath": "drive",
        "title": "D",
        "runtimeAdapter": "onnx_metadata_v1",
        "defaultRobotRef": "anna/cart",
    }
    await asyncio.to_thread(publisher.robot, "anna", robot, Upload("robot.zip", bundle))
    await asyncio.to_thread(publisher.policy, "anna", policy, Upload("policy.onnx", model))
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(rig.caller(await rig.user(name))) for name in ("anna", "eve")
        ]
        yield World(rig, *clients)


async def test_an_instance_wakes_drives_and_is_recorded(world: World) -> None:
    deployment = await world.deploy(idleScaleDownSeconds=60)
    assert deployment["status"] == "idle" and deployment["currentInstances"] == 0
    endpoint = deployment["endpointPath"]
    assert endpoint == "/deployments/anna/my-cart"
    answer = await world.anna.post(endpoint, json={"command": {"lin_vel_x": 0.5}, "seconds": 1.0})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"]["distance_m"] > 0.01
    now = (await world.anna.get(endpoint)).json()["deployment"]
    assert now["currentInstances"] == 1 and now["lastActiveAt"]
    world.rig.clock.advance(61)
    async with asyncio.timeout(10):
        while "stopped" not in " ".join((await world.rollout(deployment))["eventLog"]):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # its keeper looks once a second
    assert (await world.anna.get(endpoint)).json()["deployment"]["currentInstances"] == 0
    log = (await world.rollout(deployment))["eventLog"]
    assert any("created" in event for event in log) and any("started" in event for event in log)
    bad = await world.anna.post(endpoint, json={"jump": True})
    assert bad.status_code == 400 and "jump" in bad.json()["detail"]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_the_seed_is_taken_and_says_how_it_is(
    world: World, kind: str, tmp_path: Path
) -> None:
    ref = "anna/drive"
    if kind in {PI0, ROBOT}:
        ref, file = "anna/demo", tmp_path / "demo.zip"
        file.write_bytes(checkpoint_zip())
        fields = {"slugPath": "demo", "title": "D"}
        publisher = world.rig.services.published.publisher
        await asyncio.to_thread(publisher.checkpoint, "anna", fields, Upload("demo.zip", file))
    deployment = await world.deploy(kind, policyRef=ref)
    assert deployment["status"] in {"idle", "failed"}
    if deployment["status"] == "failed":
        assert "nstall" in deployment["lastError"]
        refused = await world.anna.post(deployment["endpointPath"], json={})
        assert refused.status_code == 503 and "nstall" in refused.json()["detail"]


async def test_a_browser_deployment_says_where_its_page_is(world: World) -> None:
    deployment = await world.deploy("browser.mujoco.onnx")
    answer = await world.anna.post(deployment["endpointPath"], json={})
    assert answer.json() == {"path": "/anna/drive"}


@pytest.mark.parametrize(
    "fields",
    [
        {"title": " "},
        {"policyRef": "anna/none"},
        {"policyRef": "drive"},
        {"runtimeKind": "instance.vla.pi0"},
        {"runtimeKind": "native.robot.lowcmd"},
        {"runtimeKind": "instance.other"},
        {"minInstances": 3, "maxInstances": 2},
        {"maxInstances": 0},
        {"idleScaleDownSeconds": -1},
        {"minInstances": "1"},
    ],
)
async def test_what_cannot_be_deployed_is_400_in_one_sentence(world: World, fields: dict[str, Any]) -> None:
    body = {"title": "T", "policyRef": "anna/drive", "runtimeKind": "instance.mujoco.onnx", **fields}
    answer = await world.anna.post("/api/deployments", json=body)
    assert answer.status_code == 400, answer.text
    check_answer(SEED, "Error", answer.json())


async def test_each_sees_and_uses_their_own(world: World) -> None:
    deployment = await world.deploy()
    listed = (await world.anna.get("/api/deployments")).json()["deployments"]
    assert [one["id"] for one in listed] == [deployment["id"]]
    assert (await world.eve.get("/api/deployments")).json() == {"deployments": []}
    assert (await world.eve.get("/api/rollout")).json() == {"rollouts": []}
    for method in ("GET", "POST", "DELETE"):
        assert (await world.eve.request(method, deployment["endpointPath"])).status_code == 404
    for path in ("/api/deployments", "/api/rollout"):
        refused = await world.rig.http.get(path)
        assert refused.status_code == 401
        check_answer(SEED, "Error", refused.json())


async def test_a_policy_that_is_deployed_cannot_be_deleted(world: World) -> None:
    deployment = await world.deploy()
    refused = await world.anna.delete("/api/catalog/policies/anna/drive")
    assert refused.status_code == 409 and "deployed" in refused.json()["detail"]
    assert (await world.anna.delete(deployment["endpointPath"])).status_code == 200
    assert (await world.anna.delete("/api/catalog/policies/anna/drive")).status_code == 200
    assert "deleted" in (await world.rollout(deployment))["eventLog"][-1]


async def test_two_deployments_of_one_title_have_addresses_of_their_own(world: World) -> None:
    first, second = await world.deploy(), await world.deploy()
    assert first["endpointPath"] != second["endpointPath"]
