# SPDX-License-Identifier: Apache-2.0
"""Starts that take long, or end after nobody wants them; instances that answer several at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import Conflict, NotAnswering, Unavailable
from lerobot_arena.platform.deployments.deployment import KINDS, MUJOCO, PI0, Deployment, Scale
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.runtimes import NoRuntime, Runtime


@dataclass
class Talker:
    """Answers `slow` when the gate opens, everything else at once."""

    gate: asyncio.Event
    at_once: int = 1
    is_alive: bool = True
    refusal: Exception | None = None

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("slow"):
            await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        return {}

    async def stop(self) -> None:
        self.is_alive = False


@dataclass
class Slow:
    """A runtime whose starts wait for `ready`."""

    at_once: int = 1
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    made: list[Talker] = field(default_factory=list)
    bug: Exception | None = None

    def missing(self) -> str:
        return ""

    async def start(self, deployment: Deployment) -> Talker:
        await self.ready.wait()
        if self.bug is not None:
            raise self.bug
        self.made.append(Talker(self.gate, self.at_once))
        return self.made[-1]


@dataclass
class World:
    fleet: Fleet
    slow: Slow
    quick: Slow
    clock: ManualClock


@pytest.fixture
async def world() -> AsyncIterator[World]:
    slow, quick, clock = Slow(), Slow(), ManualClock()
    quick.ready.set()
    runtimes: dict[str, Runtime] = {kind: NoRuntime(kind) for kind in KINDS}
    runtimes |= {PI0: slow, MUJOCO: quick}
    made = World(Fleet(runtimes, clock), slow, quick, clock)
    yield made
    await made.fleet.close()


def deployment(kind: str, **scale: Any) -> Deployment:
    return Deployment(f"deploy_{kind}", "lab", "T", f"t-{kind}", "lab/p", kind, Scale(**scale), 0.0)


async def until(look: Any) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110  the state has no event to wait for
            await asyncio.sleep(0)


async def test_a_start_that_takes_long_holds_up_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot_arena.platform.deployments.fleet._SETTLE_S", 0.05)
    loading, other = deployment(PI0, always_on=True), deployment(MUJOCO, idle_s=60)
    await world.fleet.reconcile([loading, other])
    assert world.fleet.state(loading).status == "starting"
    await world.fleet.ask(other, {}, timeout_s=1)
    world.clock.advance(61)
    await world.fleet.reconcile([loading, other])
    assert not world.quick.made[0].is_alive, "it sleeps although another one still loads"
    world.slow.ready.set()
    await until(lambda: world.fleet.state(loading).instances == 1)


async def test_what_was_deleted_while_it_started_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot_arena.platform.deployments.fleet._SETTLE_S", 0.05)
    await world.fleet.reconcile([deployment(PI0, always_on=True)])
    await world.fleet.reconcile([])
    world.slow.ready.set()
    await until(lambda: world.slow.made and not world.slow.made[0].is_alive)


async def test_who_gave_up_waiting_finds_it_ready_the_next_time(world: World) -> None:
    one = deployment(PI0, idle_s=60)
    with pytest.raises(NotAnswering):
        await world.fleet.ask(one, {}, timeout_s=0.05)
    world.slow.ready.set()
    await until(lambda: world.slow.made)
    await world.fleet.reconcile([one])
    assert await world.fleet.ask(one, {}, timeout_s=1) == {}
    assert len(world.slow.made) == 1


async def test_a_foreign_runtime_s_own_bug_is_its_deployment_s_failure(world: World) -> None:
    world.quick.bug = ZeroDivisionError("division by zero")
    one = deployment(MUJOCO)
    with pytest.raises(Unavailable, match="ZeroDivisionError"):
        await world.fleet.ask(one, {}, timeout_s=1)
    assert world.fleet.state(one).status == "failed"


async def test_an_instance_may_answer_several_at_once(world: World) -> None:
    world.quick.at_once = 2
    one = deployment(MUJOCO)
    slow = asyncio.create_task(world.fleet.ask(one, {"slow": True}, timeout_s=5))
    await until(lambda: world.fleet.state(one).status == "processing")
    assert await world.fleet.ask(one, {}, timeout_s=1) == {}
    assert not slow.done()
    world.quick.gate.set()
    await slow
    assert len(world.quick.made) == 1


@pytest.mark.parametrize("refusal", [Conflict("latched"), NotAnswering("the guard is silent")])
async def test_a_refusal_costs_no_instance(world: World, refusal: Exception) -> None:
    one = deployment(MUJOCO)
    await world.fleet.ask(one, {}, timeout_s=1)
    world.quick.made[0].refusal = refusal
    with pytest.raises(type(refusal)):
        await world.fleet.ask(one, {}, timeout_s=1)
    assert world.quick.made[0].is_alive
