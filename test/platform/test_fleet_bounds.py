# SPDX-License-Identifier: Apache-2.0
"""How many instances there may be, how often a start is tried, and how long one waits for whoever wanted it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import NotAnswering, Unavailable
from lerobot_arena.platform.deployments.deployment import BROWSER, KINDS, MUJOCO, Deployment, Scale
from lerobot_arena.platform.deployments.fleet import Fleet


@dataclass
class Copy:
    """Answers at once."""

    is_alive: bool = True

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    async def stop(self) -> None:
        self.is_alive = False


@dataclass
class World:
    """Three instances at most; starts wait for `ready`, and fail where there is a `refusal`."""

    clock: ManualClock = field(default_factory=ManualClock)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: str = ""
    bug: Exception | None = None
    starts: int = 0
    made: list[Copy] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = Fleet(dict.fromkeys(KINDS, self), self.clock, max_instances=3)
        self.ready.set()

    def missing(self) -> str:
        if self.bug is not None:
            raise self.bug
        return ""

    async def start(self, deployment: Deployment) -> Copy:
        self.starts += 1
        await self.ready.wait()
        if self.refusal:
            raise Unavailable(self.refusal)
        self.made.append(Copy())
        return self.made[-1]

    @property
    def running(self) -> int:
        return sum(one.is_alive for one in self.made)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.fleet.close()


def deployment(number: int = 1, *, kind: str = MUJOCO, **scale: Any) -> Deployment:
    return Deployment(f"deploy_{number}", "lab", "T", f"t-{number}", "lab/p", kind, Scale(**scale), 0.0)


async def until(look: Any) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110  the state has no event to wait for
            await asyncio.sleep(0)


async def test_the_machine_s_bound_is_said_and_a_place_that_is_free_again_is_taken(world: World) -> None:
    crowd = [deployment(number, always_on=True) for number in range(3)]
    late = deployment(9)
    await world.fleet.reconcile([*crowd, late])
    with pytest.raises(Unavailable, match="ARENA_MAX_INSTANCES"):
        await world.fleet.ask(late, {}, timeout_s=60)
    assert world.running == 3 and "3 instances" in (world.fleet.state(late).last_error or "")
    await world.fleet.reconcile([*crowd[1:], late])
    world.clock.advance(2)
    assert await world.fleet.ask(late, {}, timeout_s=60) == {}
    assert world.running == 3


async def test_what_runs_in_a_browser_takes_no_place(world: World) -> None:
    pages = [deployment(number, kind=BROWSER, always_on=True) for number in range(5)]
    await world.fleet.reconcile([*pages, deployment(9, always_on=True)])
    assert world.running == 6


async def test_starts_that_fail_for_days_keep_their_longest_pause(world: World) -> None:
    one, world.refusal = deployment(always_on=True), "No arm."
    for _ in range(1100):
        world.clock.advance(61)
        await world.fleet.reconcile([one])
    assert world.starts == 1100
    for _ in range(20):
        await world.fleet.reconcile([one])
    assert world.starts == 1100, "no time has passed"
    with pytest.raises(Unavailable, match="No arm"):
        await world.fleet.ask(one, {}, timeout_s=60)


async def test_one_that_loads_longer_than_it_may_idle_is_there_for_who_asks_again(world: World) -> None:
    one = deployment(idle_s=5)
    world.ready.clear()
    with pytest.raises(NotAnswering):
        await world.fleet.ask(one, {}, timeout_s=0.05)
    world.clock.advance(120)
    world.ready.set()
    await until(lambda: world.made)
    world.clock.advance(50)
    await world.fleet.reconcile([one])
    assert await world.fleet.ask(one, {}, timeout_s=60) == {} and world.starts == 1
    world.clock.advance(6)
    await world.fleet.reconcile([one])
    assert world.running == 0, "it was awaited once"


async def test_what_nobody_comes_for_goes(world: World) -> None:
    one = deployment(idle_s=5)
    world.ready.clear()
    with pytest.raises(NotAnswering):
        await world.fleet.ask(one, {}, timeout_s=0.05)
    world.ready.set()
    await until(lambda: world.made)
    world.clock.advance(61)
    await world.fleet.reconcile([one])
    assert world.running == 0


async def test_a_runtime_that_cannot_say_what_it_needs_harms_its_own_kind_only(world: World) -> None:
    world.bug = ImportError("no \ud800\0 here")
    state = world.fleet.state(deployment())
    assert state.status == "failed" and "ImportError" in (state.last_error or "")
    assert (state.last_error or "").isprintable()
    with pytest.raises(Unavailable, match="ImportError"):
        await world.fleet.ask(deployment(), {}, timeout_s=60)
