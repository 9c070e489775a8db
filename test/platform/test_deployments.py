# SPDX-License-Identifier: Apache-2.0
"""Deployments go on whatever their database does, and their record has all that happened to them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.platform.deployments import service
from lerobot_arena.platform.deployments.deployment import KINDS, MUJOCO, Deployment, Scale
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.service import Deployments
from lerobot_arena.platform.deployments.store import DeploymentStore, Rollout
from lerobot_arena.platform.storage.database import open_engine


class Disk(DeploymentStore):
    """The real store; `is_full` lets every write fail, and `slow_s` lets each take long."""

    is_full = False
    slow_s = 0.0

    def save_rollout(self, rollout: Rollout) -> None:
        self._write()
        super().save_rollout(rollout)

    def note_use(self, deployment_id: str, at: float) -> None:
        self._write()
        super().note_use(deployment_id, at)

    def delete(self, deployment_id: str) -> None:
        self._write()
        super().delete(deployment_id)

    def _write(self) -> None:
        time.sleep(self.slow_s)  # in the writer's thread, as a slow disk would
        if self.is_full:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))


@dataclass
class Copy:
    """Answers, and refuses what is bad."""

    is_alive: bool = True

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "bad" in request:
            raise InvalidInput(f"bad {request['bad']}")
        return {}

    async def stop(self) -> None:
        await asyncio.sleep(0)  # as long as it takes somebody else to come in between
        self.is_alive = False


@dataclass
class World:
    """Lab's deployments, seen to every few milliseconds."""

    disk: Disk
    clock: ManualClock = field(default_factory=ManualClock)
    made: list[Copy] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deployments = Deployments(
            self.disk,
            Fleet(dict.fromkeys(KINDS, self), self.clock),
            self.clock,
            find_policy=lambda kind, ref: ref,
            max_deployments=8,
        )

    def missing(self) -> str:
        return ""

    async def start(self, deployment: Deployment) -> Copy:
        self.made.append(Copy())
        return self.made[-1]

    async def create(self, title: str = "T", owner: str = "lab", **scale: Any) -> Deployment:
        return await self.deployments.create(
            owner, title=title, policy="lab/p", kind=MUJOCO, scale=Scale(idle_s=60, **scale)
        )

    async def events(self, one: Deployment) -> list[str]:
        """Its record, without the times."""
        await self.deployments.write_rollouts()
        found = await asyncio.to_thread(self.disk.rollout, f"rollout-{one.id}")
        assert found is not None
        return [event.partition(" ")[2] for event in found.events]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(service, "_PERIOD_S", 0.005)
    engine = open_engine(f"sqlite:///{tmp_path / 'arena.db'}")
    made = World(Disk(engine))
    await made.deployments.open()
    yield made
    made.disk.is_full = False
    await made.deployments.close()
    engine.dispose()


async def until(look: Any) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110  the state has no event to wait for
            await asyncio.sleep(0.002)  # the keeper's writes are in threads, which need their turn


async def test_a_full_disk_stops_no_scaling_and_fails_no_request(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one = await world.create()
    world.disk.is_full = True
    assert await world.deployments.ask(one, {}) == {}
    await until(lambda: "disk is full" in caplog.text)
    world.clock.advance(61)
    await until(lambda: not world.made[0].is_alive)
    with pytest.raises(InvalidInput):
        await world.deployments.ask(one, {"bad": 1})
    world.disk.is_full = False
    events = await world.events(one)
    assert events == [
        "created",
        "instance 1 started",
        "instance stopped",
        "instance 1 started",
        "request failed",
    ]
    assert (await asyncio.to_thread(world.disk.all))[0].last_active_at is not None


async def test_the_end_stops_everything_also_on_a_full_disk(world: World) -> None:
    for number in range(3):
        await world.create(f"T {number}", always_on=True)
    world.disk.is_full = True
    await world.deployments.close()
    assert len(world.made) == 3 and not any(copy.is_alive for copy in world.made)


async def test_a_mistake_in_one_round_is_followed_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await world.create()
    await world.deployments.ask(one, {})

    async def broken(deployments: Any) -> None:
        raise KeyError("deploy")

    with monkeypatch.context() as patched:
        patched.setattr(world.deployments._fleet, "reconcile", broken)
        await until(lambda: "could not be seen to" in caplog.text)
    world.clock.advance(61)
    await until(lambda: not world.made[0].is_alive)


async def test_many_are_deleted_at_once(world: World) -> None:
    made = [await world.create(f"T {number}", always_on=True) for number in range(6)]
    world.disk.slow_s = 0.01
    await asyncio.gather(*(world.deployments.delete(one) for one in made))
    assert len(world.made) == 6 and not any(copy.is_alive for copy in world.made)
    for one in made:
        assert await world.events(one) == ["created", "instance 1 started", "instance stopped", "deleted"]
    with pytest.raises(NotFound):
        await world.deployments.delete(made[0])


async def test_what_cannot_be_deleted_is_still_there(world: World) -> None:
    one = await world.create()
    world.disk.is_full = True
    with pytest.raises(OperationalError):
        await world.deployments.delete(one)
    assert world.deployments.of("lab") == [one] and await world.deployments.ask(one, {}) == {}


async def test_requests_that_fail_at_the_same_time_are_all_recorded(world: World) -> None:
    one = await world.create()
    world.disk.slow_s = 0.01
    asked = [world.deployments.ask(one, {"bad": number}) for number in range(10)]
    await asyncio.gather(*asked, return_exceptions=True)
    assert (await world.events(one)).count("request failed") == 10
    rollout = await asyncio.to_thread(world.disk.rollout, f"rollout-{one.id}")
    assert rollout is not None and all(f"bad {number}" in (rollout.error_log or "") for number in range(10))


async def test_the_end_is_recorded(world: World) -> None:
    one = await world.create(always_on=True)
    await world.deployments.close()
    assert (await world.events(one))[-1] == "instance stopped"


async def test_what_is_not_printable_is_recorded_as_what_is(world: World) -> None:
    one = await world.create()
    with pytest.raises(InvalidInput):
        await world.deployments.ask(one, {"bad": "\ud800\0"})
    assert (await world.events(one))[-1] == "request failed"


async def test_an_owner_has_so_many_deployments_and_no_more(world: World) -> None:
    made = [await world.create() for _ in range(8)]
    with pytest.raises(InvalidInput, match="ARENA_MAX_DEPLOYMENTS"):
        await world.create()
    await world.create(owner="eve")
    await world.deployments.delete(made[0])
    await world.create()


@pytest.mark.parametrize("fields", [{"title": "a\0b"}, {"title": "\ud800"}, {"hardware": "gpu\0"}])
async def test_names_are_printable(world: World, fields: dict[str, str]) -> None:
    whole = {"title": "T", "policy": "lab/p", "kind": MUJOCO, "scale": Scale(), **fields}
    with pytest.raises(InvalidInput, match="printable"):
        await world.deployments.create("lab", **whole)  # type: ignore[arg-type]
