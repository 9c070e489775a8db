# SPDX-License-Identifier: Apache-2.0
"""The instances of all deployments: started when somebody asks, given up when nobody does."""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.core.clock import Clock, seconds_between
from lerobot_arena.core.errors import ArenaError, NotAnswering, TooMany, Unavailable
from lerobot_arena.platform.deployments.deployment import (
    FAILED,
    IDLE,
    PROCESSING,
    STARTING,
    Deployment,
    Load,
    wanted_instances,
)
from lerobot_arena.platform.deployments.runtimes import REFUSALS, Instance, Runtime

_MOST_WAITING = 32
_MOST_EVENTS = 100
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
# A start may take minutes; the other deployments do not wait for it.
_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class CrewState:
    """What a deployment does now; `events` newest last."""

    status: str
    instances: int
    last_error: str | None
    idle_s: float
    events: tuple[str, ...]


@dataclass(eq=False)
class _Member:
    instance: Instance
    busy: int = 0

    @property
    def is_free(self) -> bool:
        """Takes a request now."""
        return self.busy < getattr(self.instance, "at_once", 1) and self.instance.is_alive


@dataclass(eq=False)
class _Crew:
    """The instances of one deployment."""

    deployment: Deployment
    members: list[_Member] = field(default_factory=list)
    waiting: int = 0
    starting: int = 0
    used_ns: int | None = None
    last_error: str | None = None
    attempts: int = 0
    failures: int = 0
    again_ns: int = 0
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    fresh: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, event: str) -> None:
        """For its state, and for whoever asks what is new."""
        self.events.append(event)
        self.fresh.append(event)


class Fleet:
    """Everything happens on one event loop; `reconcile` is called every second or so and after each change."""

    def __init__(self, runtimes: Mapping[str, Runtime], clock: Clock) -> None:
        self._runtimes, self._clock = runtimes, clock
        self._crews: dict[str, _Crew] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def missing(self, kind: str) -> str:
        """What to install for a runtime kind; empty: nothing."""
        return self._runtimes[kind].missing()

    async def reconcile(self, deployments: Iterable[Deployment]) -> None:
        """Start and stop instances until each deployment has what it should; end those of deployments that are gone."""
        wanted = {deployment.id: deployment for deployment in deployments}
        for gone in [crew for key, crew in self._crews.items() if key not in wanted]:
            del self._crews[gone.deployment.id]
            await self._shrink(gone, 0)
        crews = [self._crew(deployment) for deployment in wanted.values()]
        if settling := [self._settle_soon(crew) for crew in crews if not crew.lock.locked()]:
            await asyncio.wait(settling, timeout=_SETTLE_S)

    async def ask(
        self, deployment: Deployment, request: Mapping[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Have an instance answer, waking one when none runs.

        Raises Unavailable when none can be started, TooMany when too many wait, NotAnswering after `timeout_s`.
        """
        crew = self._crew(deployment)
        if crew.waiting >= _MOST_WAITING:
            raise TooMany(f"{_MOST_WAITING} requests wait for {deployment.endpoint} already.", 2.0)
        # Also when nobody waits any more by the time an instance is there, it was for this use.
        crew.used_ns = self._clock.steady_ns()
        try:
            async with asyncio.timeout(timeout_s):
                member = await self._free_member(crew)
                return await self._answer(crew, member, request)
        except TimeoutError:
            raise NotAnswering(f"{deployment.endpoint} did not answer within {timeout_s:g} s.") from None

    def state(self, deployment: Deployment) -> CrewState:
        """What it does now."""
        crew = self._crew(deployment)
        missing = self.missing(deployment.kind)
        error = missing or crew.last_error
        if missing or (crew.failures and not crew.members):
            status = FAILED
        elif crew.starting or crew.waiting:
            status = STARTING
        else:
            status = PROCESSING if any(member.busy for member in crew.members) else IDLE
        return CrewState(status, len(crew.members), error, self._idle_s(crew), tuple(crew.events))

    def news(self, deployment_id: str) -> list[str]:
        """Events since the last call, oldest first."""
        crew = self._crews.get(deployment_id)
        if crew is None:
            return []
        fresh = list(crew.fresh)
        crew.fresh.clear()
        return fresh

    async def close(self) -> None:
        """End all instances."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for crew in self._crews.values():
            await self._shrink(crew, 0)
        self._crews.clear()

    def _crew(self, deployment: Deployment) -> _Crew:
        crew = self._crews.setdefault(deployment.id, _Crew(deployment))
        crew.deployment = deployment
        return crew

    def _idle_s(self, crew: _Crew) -> float:
        return math.inf if crew.used_ns is None else seconds_between(crew.used_ns, self._clock.steady_ns())

    async def _free_member(self, crew: _Crew) -> _Member:
        crew.waiting += 1
        attempts = crew.attempts
        self._settle_soon(crew)
        try:
            # Looked at and waited for under one lock, so that no news is missed in between.
            async with crew.changed:
                while True:
                    for member in crew.members:
                        if member.is_free:
                            member.busy += 1
                            return member
                    is_too_early = self._clock.steady_ns() < crew.again_ns
                    if crew.failures and not crew.members and (is_too_early or crew.attempts > attempts):
                        raise Unavailable(crew.last_error or "It does not start.")
                    await crew.changed.wait()
        finally:
            crew.waiting -= 1

    def _settle_soon(self, crew: _Crew) -> asyncio.Task[None]:
        task = asyncio.create_task(self._settle(crew))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, crew: _Crew, member: _Member, request: Mapping[str, Any]) -> dict[str, Any]:
        is_lost = True
        try:
            answer = await member.instance.ask(request)
            is_lost = False
            return answer
        except REFUSALS:
            is_lost = False
            raise
        except ArenaError as error:
            crew.last_error = str(error)
            raise
        finally:
            member.busy -= 1
            crew.used_ns = self._clock.steady_ns()
            if is_lost:
                # An answer that was not waited for would be the next one's.
                await self._lose(crew, member)
                self._settle_soon(crew)
            await self._tell(crew)

    async def _settle(self, crew: _Crew) -> None:
        async with crew.lock:
            for lost in [member for member in crew.members if not member.instance.is_alive]:
                await self._lose(crew, lost)
            busy = sum(member.busy > 0 for member in crew.members)
            load = Load(len(crew.members), busy, crew.waiting, self._idle_s(crew))
            wanted = wanted_instances(crew.deployment.scale, load)
            if len(crew.members) > wanted:
                await self._shrink(crew, wanted)
            elif len(crew.members) < wanted:
                await self._grow(crew, wanted)
        await self._tell(crew)

    async def _grow(self, crew: _Crew, wanted: int) -> None:
        runtime = self._runtimes[crew.deployment.kind]
        if runtime.missing():
            crew.attempts += 1
            crew.failures, crew.last_error = 1, runtime.missing()
            crew.again_ns = self._clock.steady_ns() + round(_LONGEST_PAUSE_S * 1e9)
            return
        while len(crew.members) < wanted and self._clock.steady_ns() >= crew.again_ns:
            crew.starting += 1
            crew.attempts += 1
            try:
                instance = await runtime.start(crew.deployment)
            except (
                Exception
            ) as error:  # whatever another package's runtime raises is this deployment's failure only
                self._note_failure(crew, error)
                return
            finally:
                crew.starting -= 1
            if self._crews.get(crew.deployment.id) is not crew:  # deleted meanwhile
                with suppress(ArenaError, OSError):
                    await instance.stop()
                return
            crew.members.append(_Member(instance))
            crew.failures, crew.last_error = 0, None
            crew.note(f"instance {len(crew.members)} started")
            await self._tell(crew)

    def _note_failure(self, crew: _Crew, error: Exception) -> None:
        is_told = isinstance(error, ArenaError)
        pause_s = min(_FIRST_PAUSE_S * 2**crew.failures, _LONGEST_PAUSE_S)
        crew.failures += 1
        crew.last_error = (
            str(error) if is_told else f"The runtime failed: {type(error).__name__}: {error}"[:600]
        )
        crew.again_ns = self._clock.steady_ns() + round(pause_s * 1e9)
        crew.note(f"start failed: {crew.last_error}")

    async def _shrink(self, crew: _Crew, wanted: int) -> None:
        idle = [member for member in crew.members if not member.busy or wanted == 0]
        for member in idle[: max(0, len(crew.members) - wanted)]:
            await self._lose(crew, member, "instance stopped")

    async def _lose(self, crew: _Crew, member: _Member, event: str = "instance lost") -> None:
        if member in crew.members:
            crew.members.remove(member)
            crew.note(event)
            with suppress(ArenaError, OSError):  # it is given up in any case
                await member.instance.stop()

    @staticmethod
    async def _tell(crew: _Crew) -> None:
        async with crew.changed:
            crew.changed.notify_all()
