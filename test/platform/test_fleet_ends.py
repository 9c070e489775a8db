# SPDX-License-Identifier: Apache-2.0
"""Instances that do not stop when they are told: they count until they have stopped, and somebody goes on trying."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import NotAnswering, NotFound, Unavailable
from lerobot_arena.platform.deployments import fleet as fleets
from lerobot_arena.platform.deployments.deployment import KINDS, MUJOCO, PI0, Deployment, Scale
from lerobot_arena.platform.deployments.fleet import Fleet


@dataclass
class Arm:
    """Runs until a stop succeeds, which it does not while its guard is silent."""

    world: "World"
    is_alive: bool = True
    is_running: bool = True
    tries: int = 0

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("slow"):
            await self.world.gate.wait()
        if request.get("break"):
            raise ZeroDivisionError("division by zero")
        return {}

    async def stop(self) -> None:
        self.tries += 1
        if self.world.is_hanging:
            await self.world.gate.wait()
        if self.world.is_silent:
            raise NotAnswering("The guard is silent.")
        self.is_running = False


@dataclass
class World:
    """A fleet of arms, of which those of PI0 take until the gate opens to start."""

    clock: ManualClock = field(default_factory=ManualClock)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_silent: bool = False
    is_hanging: bool = False
    starts: int = 0
    made: list[Arm] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = Fleet(dict.fromkeys(KINDS, self), self.clock)

    def missing(self) -> str:
        return ""

    async def start(self, deployment: Deployment) -> Arm:
        self.starts += 1
        if deployment.kind == PI0:
            await self.gate.wait()
        self.made.append(Arm(self))
        return self.made[-1]

    async def go_idle(self, one: Deployment) -> None:
        """It is asked once, and then no more."""
        await self.fleet.ask(one, {}, timeout_s=5)
        self.clock.advance(61)
        await self.fleet.reconcile([one])


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(fleets, "_CLOSE_PAUSE_S", 0.01)
    made = World()
    yield made
    made.is_silent = False
    made.gate.set()
    await made.fleet.close()


def deployment(number: int = 1, *, kind: str = MUJOCO, **scale: Any) -> Deployment:
    return Deployment(
        f"deploy_{number}", "lab", "T", f"t-{number}", "lab/p", kind, Scale(idle_s=60, **scale), 0.0
    )


async def until(look: Any) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110  the state has no event to wait for
            await asyncio.sleep(0)


async def test_what_does_not_stop_at_first_is_seen_and_tried_again(world: World) -> None:
    one, world.is_silent = deployment(), True
    await world.go_idle(one)
    state = world.fleet.state(one)
    assert (state.status, state.instances) == ("failed", 1) and "silent" in (state.last_error or "")
    assert "instance stopped" not in state.events
    await world.fleet.reconcile([one])
    assert world.made[0].tries == 2
    world.is_silent = False
    await world.fleet.reconcile([one])
    state = world.fleet.state(one)
    assert not world.made[0].is_running and (state.status, state.instances) == ("idle", 0)
    assert state.last_error is None and state.events[-1] == "instance stopped"
    assert len([event for event in state.events if "stop failed" in event]) == 1, "not one for each try"


async def test_nothing_new_starts_beside_what_does_not_stop(world: World) -> None:
    one, world.is_silent = deployment(), True
    await world.go_idle(one)
    with pytest.raises(Unavailable, match="could not be stopped"):
        await world.fleet.ask(one, {}, timeout_s=60)
    assert len(world.made) == 1
    world.is_silent = False
    assert await world.fleet.ask(one, {}, timeout_s=60) == {}
    assert [arm.is_running for arm in world.made] == [False, True]


async def test_what_is_deleted_is_stopped_also_when_that_takes_several_tries(world: World) -> None:
    one = deployment()
    await world.fleet.ask(one, {}, timeout_s=5)
    world.is_silent = True
    await world.fleet.reconcile([])
    assert world.made[0].is_running and "silent" in (world.fleet.state(one).last_error or "")
    world.is_silent = False
    await world.fleet.reconcile([])
    assert not world.made[0].is_running and world.fleet.state(one).instances == 0


async def test_the_end_tries_again_and_says_what_did_not_stop(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.fleet.ask(deployment(), {}, timeout_s=5)
    world.is_silent = True
    await world.fleet.close()
    assert world.made[0].tries == 3 and "/deployments/lab/t-1 may still run" in caplog.text
    world.is_silent = False
    await world.fleet.close()
    assert not world.made[0].is_running
    with pytest.raises(Unavailable, match="ending"):
        await world.fleet.ask(deployment(), {}, timeout_s=5)
    await world.fleet.reconcile([deployment(always_on=True)])
    assert len(world.made) == 1


async def test_a_stop_that_hangs_holds_up_nobody_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_SETTLE_S", 0.05)
    stuck, other = deployment(1), deployment(2)
    world.is_hanging = True
    await world.go_idle(stuck)
    assert world.made[0].tries == 1
    world.is_hanging = False
    await world.fleet.ask(other, {}, timeout_s=5)
    world.clock.advance(61)
    await world.fleet.reconcile([stuck, other])
    assert [arm.is_running for arm in world.made] == [True, False]
    world.gate.set()
    await until(lambda: not world.made[0].is_running)


async def test_whoever_waits_for_what_is_deleted_is_told_at_once(world: World) -> None:
    one = deployment(kind=PI0)
    waiting = asyncio.create_task(world.fleet.ask(one, {}, timeout_s=90))
    await until(lambda: world.starts)
    await world.fleet.reconcile([])
    with pytest.raises(NotFound, match="deleted"):
        await asyncio.wait_for(waiting, 10)
    world.gate.set()
    await until(lambda: world.made and not world.made[0].is_running)


async def test_an_instance_s_own_mistake_is_words_and_the_instance_is_replaced(world: World) -> None:
    one = deployment()
    with pytest.raises(Unavailable, match="ZeroDivisionError"):
        await world.fleet.ask(one, {"break": True}, timeout_s=5)
    assert not world.made[0].is_running
    assert await world.fleet.ask(one, {}, timeout_s=5) == {}
