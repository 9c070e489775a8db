# SPDX-License-Identifier: Apache-2.0
"""Instances come when somebody asks and go when nobody does; what fails says why, and harms only itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import InvalidInput, NotAnswering, TooMany, Unavailable
from lerobot_arena.platform.deployments.deployment import (
    BROWSER,
    KINDS,
    MUJOCO,
    PI0,
    ROBOT,
    Deployment,
    Scale,
)
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.runtimes import NoRuntime, Runtime, load_runtimes


@dataclass
class Echo:
    """An instance that answers when it is told to."""

    gate: asyncio.Event
    is_alive: bool = True
    stopped: bool = False

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        await self.gate.wait()
        if request.get("bad"):
            raise InvalidInput("bad")
        if request.get("die"):
            self.is_alive = False
            raise Unavailable("The instance has died.")
        return dict(request)

    async def stop(self) -> None:
        self.stopped, self.is_alive = True, False


@dataclass
class Echoes:
    """A runtime of Echo instances."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    made: list[Echo] = field(default_factory=list)
    refusal: str = ""

    def missing(self) -> str:
        return ""

    async def start(self, deployment: Deployment) -> Echo:
        if self.refusal:
            raise Unavailable(self.refusal)
        self.made.append(Echo(self.gate))
        return self.made[-1]

    @property
    def running(self) -> int:
        return sum(not instance.stopped for instance in self.made)


def deployment(number: int = 1, *, kind: str = MUJOCO, **scale: Any) -> Deployment:
    return Deployment(f"deploy_{number}", "lab", "T", f"t-{number}", "lab/p", kind, Scale(**scale), 0.0)


@dataclass
class World:
    fleet: Fleet
    runtime: Echoes
    clock: ManualClock

    def ask(self, one: Deployment, timeout_s: float = 5.0, **request: Any) -> asyncio.Task[dict[str, Any]]:
        return asyncio.create_task(self.fleet.ask(one, request, timeout_s=timeout_s))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    runtime, clock = Echoes(), ManualClock()
    runtimes: dict[str, Runtime] = {kind: NoRuntime(kind) for kind in KINDS}
    runtimes[MUJOCO] = runtime
    made = World(Fleet(runtimes, clock), runtime, clock)
    yield made
    await made.fleet.close()


async def until(look: Any) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110  the state has no event to wait for
            await asyncio.sleep(0)


async def test_it_wakes_on_use_and_sleeps_after_the_idle_time(world: World) -> None:
    one = deployment(idle_s=60)
    await world.fleet.reconcile([one])
    assert world.runtime.running == 0 and world.fleet.state(one).status == "idle"
    world.runtime.gate.set()
    assert await world.ask(one, x=1) == {"x": 1}
    assert world.runtime.running == 1
    world.clock.advance(59)
    await world.fleet.reconcile([one])
    assert world.runtime.running == 1
    world.clock.advance(2)
    await world.fleet.reconcile([one])
    assert world.runtime.running == 0
    assert "instance stopped" in world.fleet.state(one).events


async def test_more_who_wait_get_more_instances_up_to_the_most(world: World) -> None:
    one = deployment(most=3)
    asked = [world.ask(one, n=number) for number in range(8)]
    await until(lambda: world.runtime.running == 3)
    assert world.fleet.state(one).status == "starting", "some still wait"
    world.runtime.gate.set()
    assert [answer["n"] for answer in await asyncio.gather(*asked)] == list(range(8))
    assert len(world.runtime.made) == 3


async def test_a_bad_request_costs_no_instance_and_a_dead_one_is_replaced(world: World) -> None:
    one = deployment()
    world.runtime.gate.set()
    with pytest.raises(InvalidInput):
        await world.ask(one, bad=True)
    assert len(world.runtime.made) == 1
    with pytest.raises(Unavailable, match="died"):
        await world.ask(one, die=True)
    assert "died" in (world.fleet.state(one).last_error or "")
    assert await world.ask(one, x=2) == {"x": 2}
    assert len(world.runtime.made) == 2


async def test_who_waits_too_long_is_told_and_its_answer_goes_to_nobody(world: World) -> None:
    one = deployment()
    with pytest.raises(NotAnswering, match="within"):
        await world.ask(one, timeout_s=0.05, x=1)
    assert world.runtime.made[0].stopped, "its late answer would have been the next one's"
    world.runtime.gate.set()
    assert await world.ask(one, x=2) == {"x": 2}


async def test_what_does_not_start_is_failed_with_its_reason_and_tried_again_later(world: World) -> None:
    one = deployment()
    world.runtime.gate.set()
    world.runtime.refusal = "No memory."
    with pytest.raises(Unavailable, match="No memory"):
        await world.ask(one, x=1)
    assert world.fleet.state(one).status == "failed"
    world.runtime.refusal = ""
    with pytest.raises(Unavailable, match="No memory"):
        await world.ask(one, x=1)
    world.clock.advance(2)
    assert await world.ask(one, x=1) == {"x": 1}
    assert world.fleet.state(one).last_error is None


async def test_a_kind_without_a_runtime_says_what_to_install(world: World) -> None:
    one = deployment(kind=PI0)
    await world.fleet.reconcile([one])
    state = world.fleet.state(one)
    assert state.status == "failed" and "lerobot_arena.runtimes" in (state.last_error or "")
    with pytest.raises(Unavailable, match="Install"):
        await world.ask(one)


async def test_a_queue_has_an_end(world: World) -> None:
    one = deployment()
    asked = [world.ask(one, n=number) for number in range(33)]
    await until(lambda: world.runtime.running == 1)
    await until(lambda: world.fleet.state(one).status != "idle")
    with pytest.raises(TooMany):
        await world.fleet.ask(one, {}, timeout_s=1)
    world.runtime.gate.set()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_a_deleted_deployment_keeps_nothing_running(world: World) -> None:
    one, two = deployment(1, always_on=True), deployment(2, always_on=True)
    await world.fleet.reconcile([one, two])
    assert world.runtime.running == 2
    await world.fleet.reconcile([two])
    assert world.runtime.running == 1


def test_every_kind_of_the_seed_is_accepted_and_the_rest_says_what_is_missing() -> None:
    runtimes = load_runtimes({})
    assert set(runtimes) == set(KINDS) >= {BROWSER, ROBOT}
    assert all("entry point" in runtime.missing() for runtime in runtimes.values())
