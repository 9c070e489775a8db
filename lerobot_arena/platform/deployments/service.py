# SPDX-License-Identifier: Apache-2.0
"""Deployments as their owners use them: made, listed, asked; and the record of what their instances did."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import ArenaError, NotFound
from lerobot_arena.platform.deployments import store as stores
from lerobot_arena.platform.deployments.deployment import (
    FAILED,
    IDLE,
    Deployment,
    Scale,
    check_kind,
    check_scale,
    check_title,
    slug_of,
)
from lerobot_arena.platform.deployments.fleet import CrewState, Fleet
from lerobot_arena.platform.deployments.store import DeploymentStore, Rollout

_log = logging.getLogger(__name__)
ASK_TIMEOUT_S = 90.0
_PERIOD_S = 1.0


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
    ) -> None:
        """`on_open` is called with all deployments before an instance of any of them starts."""
        self._store, self._fleet, self._clock = store, fleet, clock
        self._find_policy, self._on_open = find_policy, on_open
        self._known: dict[str, Deployment] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._making = asyncio.Lock()

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
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        await self._fleet.close()

    async def create(
        self, owner: str, *, title: str, policy: str, kind: str, scale: Scale, hardware: str | None = None
    ) -> Deployment:
        """A new deployment. Raises InvalidInput."""
        check_kind(kind)
        check_scale(kind, scale)
        ref = await asyncio.to_thread(self._find_policy, kind, policy)
        now = self._now()
        async with self._making:
            taken = frozenset(one.slug for one in self._known.values() if one.owner == owner)
            deployment = Deployment(
                id=f"deploy_{secrets.token_hex(8)}",
                owner=owner,
                title=check_title(title),
                slug=slug_of(title, taken),
                policy=ref,
                kind=kind,
                scale=scale,
                created_at=now,
                hardware=hardware,
                updated_at=now,
            )
            await asyncio.to_thread(self._store.insert, deployment)
            self._known[deployment.id] = deployment
        await self._record(deployment, "created")
        await self._fleet.reconcile(list(self._known.values()))
        return deployment

    def of(self, owner: str | None) -> list[Deployment]:
        """One owner's, or everybody's; newest first."""
        found = [one for one in self._known.values() if owner is None or one.owner == owner]
        return sorted(found, key=lambda one: one.created_at, reverse=True)

    async def at(self, owner: str, slug: str) -> Deployment:
        """The one at an endpoint. Raises NotFound."""
        return await asyncio.to_thread(self._store.at, owner, slug)

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
        try:
            return await self._fleet.ask(used, request, timeout_s=ASK_TIMEOUT_S)
        except ArenaError as error:
            await self._record(used, "request failed", error=str(error))
            raise
        finally:
            await asyncio.to_thread(self._store.note_use, deployment.id, now)

    async def delete(self, deployment: Deployment) -> None:
        """End its instances and forget it."""
        self._known.pop(deployment.id, None)
        await asyncio.to_thread(self._store.delete, deployment.id)
        await self._fleet.reconcile(list(self._known.values()))
        await self._record(deployment, "deleted")

    async def _keep(self) -> None:
        while True:
            try:
                await self._fleet.reconcile(list(self._known.values()))
                for deployment in list(self._known.values()):
                    await self._record_news(deployment)
            except ArenaError as error:
                _log.warning("Deployments: %s", error)
            await asyncio.sleep(_PERIOD_S)

    async def _record_news(self, deployment: Deployment) -> None:
        """What the fleet did since the last look."""
        events = self._fleet.news(deployment.id)
        for event in events:
            state = self._fleet.state(deployment)
            await self._record(deployment, event, error=state.last_error if "failed" in event else None)

    async def _record(self, deployment: Deployment, event: str, *, error: str | None = None) -> None:
        await asyncio.to_thread(self._write, deployment, event, error)

    def _write(self, deployment: Deployment, event: str, error: str | None) -> None:
        now, key = self._now(), f"rollout-{deployment.id}"
        before = self._store.rollout(key) or Rollout(
            id=key,
            owner=deployment.owner,
            title=deployment.title,
            policy=deployment.policy,
            route=f"/{deployment.policy}",
            kind=deployment.kind,
            source=stores.DEPLOYMENT,
            created_at=now,
            updated_at=now,
            deployment_id=deployment.id,
            endpoint=deployment.endpoint,
        )
        state = self._fleet.state(deployment)
        status = (
            stores.FAILED if state.status == FAILED else stores.IDLE if state.status == IDLE else stores.READY
        )
        self._store.save_rollout(before.after(f"{_clock_text(now)} {event}", now, status=status, error=error))

    def _now(self) -> float:
        return self._clock.wall_ns() / 1e9


def _clock_text(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
