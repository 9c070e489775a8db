# SPDX-License-Identifier: Apache-2.0
"""Deployments as their owners use them: made, listed, asked; and the record of what their instances did."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import ArenaError, InvalidInput, NotFound
from lerobot_arena.platform.deployments import store as stores
from lerobot_arena.platform.deployments.crew import CrewState
from lerobot_arena.platform.deployments.deployment import (
    FAILED,
    IDLE,
    Deployment,
    Scale,
    check_hardware,
    check_kind,
    check_scale,
    check_title,
    slug_of,
)
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.journal import Journal
from lerobot_arena.platform.deployments.store import DeploymentStore

_log = logging.getLogger(__name__)
ASK_TIMEOUT_S = 90.0
DEFAULT_MAX_DEPLOYMENTS = 32
_PERIOD_S = 1.0
_STATUS = {IDLE: stores.IDLE, FAILED: stores.FAILED}
"""Of a rollout by its deployment's; any other is `ready`."""


class Deployments:
    """On one event loop; `find_policy` raises InvalidInput for a reference to nothing, and blocks."""

    def __init__(
        self,
        store: DeploymentStore,
        fleet: Fleet,
        clock: Clock,
        *,
        find_policy: Callable[[str, str], str],
        on_open: Callable[[Iterable[Deployment]], Awaitable[None]] | None = None,
        max_deployments: int = DEFAULT_MAX_DEPLOYMENTS,
    ) -> None:
        """`on_open` is called with all deployments before an instance starts; `max_deployments`: of one owner."""
        self._store, self._fleet, self._clock = store, fleet, clock
        self._find_policy, self._on_open = find_policy, on_open
        self._max_deployments = max_deployments
        self._journal = Journal(store)
        self._known: dict[str, Deployment] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._making = asyncio.Lock()
        fleet.on_event = self._note

    async def open(self) -> None:
        """Take up what was deployed before, and begin to scale."""
        self._known = {one.id: one for one in await asyncio.to_thread(self._store.all)}
        if self._on_open is not None:
            await self._on_open(self._known.values())
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End every instance; the deployments stay."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        try:
            await self._fleet.close()
        finally:
            await self._journal.write()

    async def create(
        self, owner: str, *, title: str, policy: str, kind: str, scale: Scale, hardware: str | None = None
    ) -> Deployment:
        """A new deployment. Raises InvalidInput."""
        check_kind(kind)
        check_scale(kind, scale)
        title, hardware = check_title(title), check_hardware(hardware)
        ref = await asyncio.to_thread(self._find_policy, kind, policy)
        now = self._now()
        async with self._making:
            deployment = Deployment(
                id=f"deploy_{secrets.token_hex(8)}",
                owner=owner,
                title=title,
                slug=self._free_slug(owner, title),
                policy=ref,
                kind=kind,
                scale=scale,
                created_at=now,
                hardware=hardware,
                updated_at=now,
            )
            await asyncio.to_thread(self._store.insert, deployment)
            self._known[deployment.id] = deployment
        self._note(deployment, "created")
        await self._fleet.reconcile(list(self._known.values()))
        await self._journal.write()
        return deployment

    def of(self, owner: str | None) -> list[Deployment]:
        """One owner's, or everybody's; newest first."""
        found = [one for one in self._known.values() if owner is None or one.owner == owner]
        return sorted(found, key=lambda one: one.created_at, reverse=True)

    def at(self, owner: str, slug: str) -> Deployment:
        """The one at an endpoint. Raises NotFound."""
        for one in self._known.values():
            if (one.owner, one.slug) == (owner, slug):
                return one
        raise NotFound(f"There is no deployment /deployments/{owner[:60]}/{slug[:80]}.")

    def state(self, deployment: Deployment) -> CrewState:
        """What it does now."""
        return self._fleet.state(deployment)

    async def ask(self, deployment: Deployment, request: Mapping[str, Any]) -> dict[str, Any]:
        """Have an instance answer. Raises what the fleet raises."""
        if deployment.id not in self._known:
            raise NotFound(f"There is no deployment {deployment.endpoint}.")
        now = self._now()
        used = replace(deployment, last_active_at=now, updated_at=now)
        self._known[deployment.id] = used
        self._journal.note_use(deployment.id, now)
        try:
            return await self._fleet.ask(used, request, timeout_s=ASK_TIMEOUT_S)
        except ArenaError as error:
            self._note(used, "request failed", str(error))
            raise

    async def delete(self, deployment: Deployment) -> None:
        """End its instances and forget it. Raises NotFound when that is done already."""
        known = self._known.pop(deployment.id, None)
        if known is None:
            raise NotFound(f"There is no deployment {deployment.endpoint}.")
        try:
            await asyncio.to_thread(self._store.delete, deployment.id)
        except BaseException:
            self._known[deployment.id] = known
            raise
        await self._fleet.reconcile(list(self._known.values()))
        self._note(deployment, "deleted")
        await self._journal.write()

    async def write_rollouts(self) -> None:
        """So that the record has all that happened before."""
        await self._journal.write()

    def _free_slug(self, owner: str, title: str) -> str:
        taken = frozenset(one.slug for one in self._known.values() if one.owner == owner)
        if len(taken) >= self._max_deployments:
            raise InvalidInput(
                f"{owner} has {len(taken)} deployments, the most there may be (ARENA_MAX_DEPLOYMENTS): "
                "delete one first."
            )
        return slug_of(title, taken)

    async def _keep(self) -> None:
        while True:
            try:
                await self._fleet.reconcile(list(self._known.values()))
            except Exception:  # without this nobody would end what is idle any more
                _log.exception("The deployments could not be seen to; the next try is in %g s.", _PERIOD_S)
            await self._journal.write()
            await asyncio.sleep(_PERIOD_S)

    def _note(self, deployment: Deployment, event: str, error: str | None = None) -> None:
        status = _STATUS.get(self._fleet.state(deployment).status, stores.READY)
        self._journal.note(deployment, event, self._now(), status=status, error=error)

    def _now(self) -> float:
        return self._clock.wall_ns() / 1e9
