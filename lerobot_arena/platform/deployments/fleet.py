# SPDX-License-Identifier: Apache-2.0
"""The instances of all deployments: started when somebody asks, given up when nobody does."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import ArenaError, NotAnswering, NotFound, TooMany, Unavailable
from lerobot_arena.platform.deployments.crew import (
    LONGEST_PAUSE_S,
    Crew,
    CrewState,
    Member,
    OnEvent,
    reason_of,
)
from lerobot_arena.platform.deployments.deployment import BROWSER, FAILED, IDLE, Deployment, wanted_instances
from lerobot_arena.platform.deployments.runtimes import REFUSALS, Runtime

_log = logging.getLogger(__name__)
DEFAULT_MAX_INSTANCES = 8
_MOST_WAITING = 32
# A start or a stop may take minutes; the other deployments do not wait for it.
_SETTLE_S = 2.0
_CLOSE_TRIES, _CLOSE_TRY_S, _CLOSE_PAUSE_S = 3, 6.0, 0.5


class Fleet:
    """Everything happens on one event loop; `reconcile` is called every second or so and after each change.

    `on_event` hears of everything that happens to an instance, when it happens.
    """

    def __init__(
        self, runtimes: Mapping[str, Runtime], clock: Clock, *, max_instances: int = DEFAULT_MAX_INSTANCES
    ) -> None:
        """`max_instances`: of all deployments on this machine."""
        self._runtimes, self._clock, self._max_instances = runtimes, clock, max_instances
        self._crews: dict[str, Crew] = {}
        # Of deployments that are gone, as long as anything of them runs.
        self._leaving: dict[str, Crew] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.on_event: OnEvent = lambda deployment, event, error: None

    def missing(self, kind: str) -> str:
        """What to install for a runtime kind; empty: nothing."""
        try:
            return self._runtimes[kind].missing()
        except Exception as error:  # whatever another package raises is about its own kind only
            return reason_of(error)

    async def reconcile(self, deployments: Iterable[Deployment]) -> None:
        """Start and stop instances until each deployment has what it should; end those of deployments that are gone."""
        wanted = {} if self._is_closed else {deployment.id: deployment for deployment in deployments}
        for key in [key for key in self._crews if key not in wanted]:
            self._dismiss(key)
        crews = [self._crew(deployment) for deployment in wanted.values()]
        work = [self._settle_soon(crew) for crew in crews if not crew.lock.locked()]
        if work := work + self._stop_leaving():
            await asyncio.wait(work, timeout=_SETTLE_S)

    async def ask(
        self, deployment: Deployment, request: Mapping[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Have an instance answer, waking one when none runs.

        Raises Unavailable when none can be started, TooMany when too many wait, NotFound when it is deleted meanwhile,
        NotAnswering after `timeout_s`.
        """
        self._refuse_when_closed()
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
        missing = self.missing(deployment.kind)
        crew = self._crews.get(deployment.id) or self._leaving.get(deployment.id)
        if crew is None:
            return CrewState(FAILED, last_error=missing) if missing else CrewState(IDLE)
        return crew.state(missing, self._clock.steady_ns())

    async def close(self) -> None:
        """End all instances. What does not stop is tried again a few times, and then named in the log."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for key in list(self._crews):
            self._dismiss(key)
        for _ in range(_CLOSE_TRIES):
            if not (stops := self._stop_leaving()):
                return
            await asyncio.wait(stops, timeout=_CLOSE_TRY_S)
            if any(crew.members for crew in self._leaving.values()):
                await asyncio.sleep(_CLOSE_PAUSE_S)  # a guard that was silent may answer then
        for crew in self._leaving.values():
            if crew.members:
                reason = crew.stop_error or "its stop has not ended."
                _log.error("%s may still run. %s", crew.deployment.endpoint, reason)

    def _crew(self, deployment: Deployment) -> Crew:
        if deployment.id not in self._crews:
            self._crews[deployment.id] = Crew(deployment, lambda *event: self.on_event(*event))
        crew = self._crews[deployment.id]
        crew.deployment = deployment
        return crew

    def _dismiss(self, key: str) -> None:
        crew = self._leaving[key] = self._crews.pop(key)
        crew.is_gone = True
        for member in crew.members:
            member.is_ending = True
        self._spawn(self._tell(crew), self._tasks)

    def _stop_leaving(self) -> list[asyncio.Task[None]]:
        self._leaving = {key: crew for key, crew in self._leaving.items() if not crew.is_over}
        return [
            self._stop_soon(crew, member) for crew in self._leaving.values() for member in list(crew.members)
        ]

    async def _free_member(self, crew: Crew) -> Member:
        crew.waiting += 1
        attempts = crew.attempts
        self._settle_soon(crew)
        try:
            # Looked at and waited for under one lock, so that no news is missed in between.
            async with crew.changed:
                while True:
                    self._refuse_when_closed()
                    if crew.is_gone:
                        raise NotFound(f"{crew.deployment.endpoint} was deleted.")
                    for member in crew.members:
                        if member.is_free:
                            member.busy += 1
                            return member
                    if reason := crew.refusal(attempts, self._clock.steady_ns()):
                        raise Unavailable(reason)
                    await crew.changed.wait()
        finally:
            crew.waiting -= 1

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise Unavailable("The bridge is ending.")

    async def _answer(self, crew: Crew, member: Member, request: Mapping[str, Any]) -> dict[str, Any]:
        is_lost = True
        try:
            answer = await member.instance.ask(request)
            is_lost = False
            return answer
        except REFUSALS:
            is_lost = False
            raise
        except Exception as error:  # another package's instance may raise anything
            crew.last_error = reason_of(error)
            if isinstance(error, ArenaError):
                raise
            raise Unavailable(crew.last_error) from error
        finally:
            member.busy -= 1
            crew.note_use(self._clock.steady_ns())
            if is_lost:
                # An answer that was not waited for would be the next one's.
                self._lose(crew, member)
                await self._stop_ending(crew)
                self._settle_soon(crew)
            await self._tell(crew)

    def _settle_soon(self, crew: Crew) -> asyncio.Task[None]:
        return self._spawn(self._settle(crew), self._tasks)

    def _stop_soon(self, crew: Crew, member: Member) -> asyncio.Task[None]:
        """One at a time for each; not among the tasks that `close` gives up."""
        if member.stopping is None or member.stopping.done():
            member.stopping = self._spawn(self._stop(crew, member), self._stops)
        return member.stopping

    @staticmethod
    def _spawn(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        def ended(task: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("The instances of a deployment could not be seen to.", exc_info=error)

        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(ended)
        return task

    async def _settle(self, crew: Crew) -> None:
        async with crew.lock:
            for member in crew.live:
                if not member.instance.is_alive:
                    self._lose(crew, member)
            wanted = wanted_instances(crew.deployment.scale, crew.load(self._clock.steady_ns()))
            spare = [member for member in crew.live if not member.busy]
            for member in spare[: max(0, len(crew.live) - wanted)]:
                member.is_ending = True
            await self._stop_ending(crew)
            if len(crew.live) < wanted:
                await self._grow(crew, wanted)
        await self._tell(crew)

    async def _grow(self, crew: Crew, wanted: int) -> None:
        if missing := self.missing(crew.deployment.kind):
            crew.attempts += 1
            crew.failures, crew.last_error = 1, missing
            crew.again_ns = self._clock.steady_ns() + round(LONGEST_PAUSE_S * NS)
            return
        while len(crew.live) < wanted and crew.has_place and not crew.is_gone:
            if self._clock.steady_ns() < crew.again_ns or not await self._start(crew):
                return

    async def _start(self, crew: Crew) -> bool:
        crew.attempts += 1
        try:
            self._refuse_beyond_bound(crew)
            crew.starting += 1
            try:
                instance = await self._runtimes[crew.deployment.kind].start(crew.deployment)
            finally:
                crew.starting -= 1
        except (
            Exception
        ) as error:  # whatever another package's runtime raises is this deployment's failure only
            crew.note_failed_start(error, self._clock.steady_ns())
            return False
        member = Member(instance, is_ending=crew.is_gone)
        crew.members.append(member)
        if crew.is_gone:
            self._stop_soon(crew, member)
            return False
        crew.note_start(self._clock.steady_ns())
        await self._tell(crew)
        return True

    def _refuse_beyond_bound(self, crew: Crew) -> None:
        running = sum(one.places for one in (*self._crews.values(), *self._leaving.values()))
        if crew.deployment.kind != BROWSER and running >= self._max_instances:
            raise Unavailable(
                f"{running} instances of deployments run on this machine, the most there may be "
                "(ARENA_MAX_INSTANCES). One that is not used goes after its idleScaleDownSeconds."
            )

    @staticmethod
    def _lose(crew: Crew, member: Member) -> None:
        if not member.is_ending:
            member.is_ending = True
            crew.note("instance lost")

    async def _stop_ending(self, crew: Crew) -> None:
        if stops := [self._stop_soon(crew, member) for member in crew.ending]:
            await asyncio.wait(stops, timeout=_SETTLE_S)

    async def _stop(self, crew: Crew, member: Member) -> None:
        try:
            await member.instance.stop()
        except Exception as error:  # it is tried again until nothing runs
            if crew.note_failed_stop(error):
                _log.error("An instance of %s could not be stopped: %s", crew.deployment.endpoint, error)
        else:
            crew.note_stop(member)
            if crew.waiting:
                self._settle_soon(crew)
        await self._tell(crew)

    @staticmethod
    async def _tell(crew: Crew) -> None:
        async with crew.changed:
            crew.changed.notify_all()
