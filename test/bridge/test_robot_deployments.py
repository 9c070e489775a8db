# SPDX-License-Identifier: Apache-2.0
"""`native.robot.lowcmd`: a session behind the guard that comes and goes, and moves by an explicit start only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.core.principal import CATALOG_WRITE, SESSIONS_READ
from lerobot_arena.platform.catalog.publishing import Upload
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig, until
from lerobot_arena.testing.checkpoint_zip import checkpoint_zip
from lerobot_arena.testing.seed_schemas import check_answer

SEED = Path(__file__).with_name("seed2.openapi.json")
ENDPOINT = "/deployments/anna/pick-the-cube"
MOVES = ("start", "resume")


@dataclass
class World:
    """Anna has published the demo policy as a checkpoint; Bob may publish, but not move anything."""

    rig: Rig
    anna: httpx.AsyncClient
    bob: httpx.AsyncClient

    async def create(self, **fields: Any) -> httpx.Response:
        return await self.anna.post("/api/deployments", json=body(**fields))

    async def deploy(self, **fields: Any) -> dict[str, Any]:
        answer = await self.create(**fields)
        assert answer.status_code == 201, answer.text
        check_answer(SEED, "DeploymentEnvelope", answer.json())
        deployment: dict[str, Any] = answer.json()["deployment"]
        return deployment

    async def ask(self, action: str, endpoint: str = ENDPOINT) -> dict[str, Any]:
        answer = await self.anna.post(endpoint, json={"action": action})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def now(self, endpoint: str = ENDPOINT) -> dict[str, Any]:
        deployment: dict[str, Any] = (await self.anna.get(endpoint)).json()["deployment"]
        return deployment

    def now_status(self) -> str:
        deployments = self.rig.services.deployments
        return deployments.state(deployments.of("anna")[0]).status

    def sessions(self) -> list[str]:
        return [session.wanted.session_id for session in self.rig.services.book.all()]

    def moves(self) -> list[tuple[str, str]]:
        return [call for call in self.rig.fake.calls if call[1] in MOVES]


def body(**fields: Any) -> dict[str, Any]:
    kind = "native.robot.lowcmd"
    return {"title": "Pick the cube", "policyRef": "anna/demo", "runtimeKind": kind, **fields}


async def publish(rig: Rig, folder: Path) -> None:
    file = folder / "demo.zip"
    file.write_bytes(checkpoint_zip())
    fields = {"slugPath": "demo", "title": "Demo"}
    publisher = rig.services.published.publisher
    await asyncio.to_thread(publisher.checkpoint, "anna", fields, Upload("demo.zip", file))


async def open_world(
    stack: AsyncExitStack, folder: Path, fake: FakeArms | None = None, **settings: Any
) -> World:
    rig = await stack.enter_async_context(open_rig(folder / "data", fake, **settings))
    if not rig.services.published.shelf.slugs("checkpoint", "anna"):
        await publish(rig, folder)
    anna = await stack.enter_async_context(rig.caller(await rig.user("anna")))
    bob = await rig.user("bob", scopes={CATALOG_WRITE, SESSIONS_READ})
    return World(rig, anna, await stack.enter_async_context(rig.caller(bob)))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield await open_world(stack, tmp_path)


async def test_it_wakes_without_moving_and_starts_when_told(world: World) -> None:
    deployment = await world.deploy(idleScaleDownSeconds=60)
    assert deployment["status"] == "idle" and world.sessions() == []
    told = await world.ask("status")
    assert told["status"] in {"initializing", "ready"} and told["arm"] == "arm"
    assert told["session_id"] == deployment["id"] and world.sessions() == [deployment["id"]]
    assert world.moves() == [], "waking is not moving"
    assert (await world.ask("start"))["status"] == "running"
    assert world.moves() == [("arm", "start")]
    assert (await world.ask("pause"))["status"] != "stopped"
    assert (await world.ask("resume"))["status"] == "running"
    assert (await world.ask("stop"))["status"] == "stopped"
    session = (await world.anna.get(f"/sessions/{deployment['id']}")).json()
    assert session["policy_path"] == "catalog:anna/demo" and session["owner"] == "anna"


async def test_when_idle_it_is_stopped_and_its_session_is_gone(world: World) -> None:
    await world.deploy(idleScaleDownSeconds=60)
    await world.ask("start")
    world.rig.clock.advance(61)
    world.rig.fake.report()
    await until(lambda: not world.sessions(), 10)
    assert world.rig.fake.calls[-1] == ("arm", "stop")
    assert world.rig.fake.guards["arm"].state != "running"
    assert (await world.now())["currentInstances"] == 0


async def test_always_on_has_a_session_and_never_means_moving(world: World) -> None:
    deployment = await world.deploy(alwaysOn=True)
    await until(lambda: world.sessions() == [deployment["id"]], 10)
    for _ in range(3):
        await world.rig.services.deployments._fleet.reconcile(
            list(world.rig.services.deployments._known.values())
        )
    assert world.moves() == []


async def test_deleting_it_stops_the_arm(world: World) -> None:
    await world.deploy()
    await world.ask("start")
    assert (await world.anna.delete(ENDPOINT)).status_code == 200
    assert world.sessions() == [] and world.rig.fake.calls[-1] == ("arm", "stop")
    assert (await world.anna.post(ENDPOINT, json={"action": "start"})).status_code == 404


async def test_a_stop_does_not_wait_for_a_start_that_waits(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        world = await open_world(stack, tmp_path, start_timeout_s=60.0)
        world.rig.fake.is_loading = True
        await world.deploy()
        await world.ask("status")
        starting = asyncio.create_task(world.anna.post(ENDPOINT, json={"action": "start"}))
        await until(lambda: world.now_status() == "processing", 20)
        stopped = await asyncio.wait_for(world.ask("stop"), 20)
        assert stopped["session_id"]
        assert (await starting).status_code == 409 and world.moves() == []


async def test_what_the_guard_refuses_is_said_and_costs_no_session(world: World) -> None:
    deployment = await world.deploy()
    world.rig.fake.do("arm", "estop")
    refused = await world.anna.post(ENDPOINT, json={"action": "start"})
    assert refused.status_code == 409 and "e-stop" in refused.json()["detail"].lower()
    assert world.sessions() == [deployment["id"]] and world.moves() == []
    world.rig.fake.silent_guards.add("arm")
    assert (await world.ask("status"))["session_id"] == deployment["id"]


@pytest.mark.parametrize("request_", [{"action": "fly"}, {"action": "start", "speed": 3}, {"action": None}])
async def test_another_request_is_refused(world: World, request_: dict[str, Any]) -> None:
    await world.deploy()
    answer = await world.anna.post(ENDPOINT, json=request_)
    assert answer.status_code == 400 and "resume" in answer.json()["detail"]
    assert world.moves() == []


@pytest.mark.parametrize("fields", [{"maxInstances": 2}, {"minInstances": 2}, {"policyRef": "anna/none"}])
async def test_what_cannot_be_on_an_arm_is_400(world: World, fields: dict[str, Any]) -> None:
    answer = await world.create(**fields)
    assert answer.status_code == 400, answer.text
    check_answer(SEED, "Error", answer.json())


async def test_it_needs_the_scope_to_move_robots(world: World) -> None:
    refused = await world.bob.post("/api/deployments", json=body())
    assert refused.status_code == 403 and "sessions:operate" in refused.text
    await world.deploy()
    assert (await world.bob.post(ENDPOINT, json={"action": "start"})).status_code == 404


async def test_the_arm_is_the_only_one_or_the_one_that_is_named(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        world = await open_world(stack, tmp_path, FakeArms(("left", "right")))
        unnamed = (await world.deploy())["endpointPath"]
        refused = await world.anna.post(unnamed, json={})
        assert refused.status_code == 503 and "left, right" in refused.json()["detail"]
        named = (await world.deploy(hardwareSku="right"))["endpointPath"]
        assert (await world.ask("status", named))["arm"] == "right"
        foreign = (await world.deploy(hardwareSku="third"))["endpointPath"]
        assert "left, right" in (await world.anna.post(foreign, json={})).json()["detail"]


async def test_a_session_that_somebody_deletes_is_made_anew_and_does_not_move(world: World) -> None:
    deployment = await world.deploy()
    await world.ask("start")
    assert (await world.anna.delete(f"/sessions/{deployment['id']}")).status_code == 200
    assert (await world.ask("status"))["status"] in {"initializing", "ready"}
    assert world.moves() == [("arm", "start")]


async def test_a_bridge_that_was_killed_leaves_no_session(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        world = await open_world(stack, tmp_path)
        await world.deploy()
        await world.ask("start")
        store = world.rig.services.store
        ((record,), generation) = (await asyncio.to_thread(store.load))[::-1]
    # A clean end deletes it; put back what a killed bridge would have left.
    async with AsyncExitStack() as stack:
        world = await open_world(stack, tmp_path)
        assert world.sessions() == []
        await asyncio.to_thread(world.rig.services.store.insert, record, generation + 10)
    async with AsyncExitStack() as stack:
        world = await open_world(stack, tmp_path)
        assert world.sessions() == [] and world.moves() == []
        assert (await world.ask("status"))["session_id"] == record.wanted.session_id


async def test_a_session_that_could_not_be_stopped_is_seen_and_is_stopped_by_the_next_instance(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    deployment = await world.deploy(idleScaleDownSeconds=60)
    await world.ask("start")
    world.rig.fake.silent_guards.add("arm")
    world.rig.clock.advance(61)
    world.rig.fake.report()
    await until(lambda: "could not be stopped" in caplog.text, 10)
    assert world.sessions() == [deployment["id"]], "whoever looks sees that it is still there"
    now = await world.now()
    assert (now["status"], now["currentInstances"]) == ("failed", 1) and "did not answer" in now["lastError"]
    world.rig.fake.silent_guards.clear()
    assert (await world.ask("status"))["status"] in {"initializing", "ready"}
    assert world.rig.fake.calls[-1] == ("arm", "stop") and world.rig.fake.guards["arm"].state != "running"


async def test_an_arm_whose_guard_was_silent_is_stopped_without_anybody_asking(world: World) -> None:
    await world.deploy(idleScaleDownSeconds=60)
    await world.ask("start")
    world.rig.fake.silent_guards.add("arm")
    world.rig.clock.advance(61)
    world.rig.fake.report()
    await until(lambda: world.now_status() == "failed", 20)
    world.rig.fake.silent_guards.clear()
    await until(lambda: not world.sessions(), 20)
    assert world.rig.fake.guards["arm"].state != "running"
    now = await world.now()
    assert (now["status"], now["currentInstances"], now["lastError"]) == ("idle", 0, None)


async def test_deleting_it_while_its_guard_is_silent_stops_the_arm_later(world: World) -> None:
    await world.deploy()
    await world.ask("start")
    world.rig.fake.silent_guards.add("arm")
    assert (await world.anna.delete(ENDPOINT)).status_code == 200
    assert (await world.anna.get(ENDPOINT)).status_code == 404
    assert world.rig.fake.guards["arm"].state == "running"
    world.rig.fake.silent_guards.clear()
    await until(lambda: not world.sessions(), 20)
    assert world.rig.fake.guards["arm"].state != "running"


async def test_whoever_may_not_move_robots_neither_asks_nor_deletes(world: World) -> None:
    await world.deploy()
    token = world.rig.services.accounts.tokens.create("anna", "weak", frozenset({SESSIONS_READ}))[1]
    async with world.rig.caller(token) as weak:
        for method in ("POST", "DELETE"):
            assert (await weak.request(method, ENDPOINT)).status_code == 403
        assert (await weak.get(ENDPOINT)).status_code == 200
