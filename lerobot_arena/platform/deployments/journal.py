# SPDX-License-Identifier: Apache-2.0
"""What happens to deployments, on its way to the database: nothing that they do waits for it, or fails by it."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from lerobot_arena.platform.deployments.crew import plain
from lerobot_arena.platform.deployments.deployment import Deployment
from lerobot_arena.platform.deployments.store import DEPLOYMENT, DeploymentStore, Rollout

_log = logging.getLogger(__name__)
_MOST_WAITING = 200


@dataclass(frozen=True, slots=True)
class _Event:
    deployment: Deployment
    text: str
    at: float
    status: str
    error: str | None


class Journal:
    """Lives on one event loop. What cannot be written is kept, the newest of it, until it can."""

    def __init__(self, store: DeploymentStore) -> None:
        self._store = store
        self._events: dict[str, list[_Event]] = {}
        self._uses: dict[str, float] = {}
        self._writing = asyncio.Lock()

    def note(
        self, deployment: Deployment, event: str, at: float, *, status: str, error: str | None = None
    ) -> None:
        """An event of a deployment's rollout, whose status is `status` by it."""
        kept = self._events.setdefault(deployment.id, [])
        kept.append(_Event(deployment, plain(event), at, status, None if error is None else plain(error)))
        del kept[:-_MOST_WAITING]

    def note_use(self, deployment_id: str, at: float) -> None:
        """It was asked."""
        self._uses[deployment_id] = at

    async def write(self) -> None:
        """All that was noted before. Never raises: what fails is logged, and written by a later call."""
        # A thread cannot be cancelled: the next writer has to wait for it.
        await asyncio.shield(self._write_all())

    async def _write_all(self) -> None:
        async with self._writing:
            for key in list(self._events):
                await self._write_events(key)
            await self._write_uses()

    async def _write_events(self, key: str) -> None:
        events = self._events.pop(key)
        try:
            await asyncio.to_thread(self._append, events)
        except Exception as error:  # whatever the database has
            _log.error("The record of %s waits: %s", events[0].deployment.endpoint, error)
            self._events[key] = (events + self._events.get(key, []))[-_MOST_WAITING:]

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        try:
            for deployment_id, at in uses.items():
                await asyncio.to_thread(self._store.note_use, deployment_id, at)
        except Exception as error:  # whatever the database has
            _log.error("When deployments were used last waits: %s", error)
            self._uses = uses | self._uses

    def _append(self, events: list[_Event]) -> None:
        first = events[0]
        rollout = self._store.rollout(_key(first.deployment)) or _new_rollout(first.deployment, first.at)
        for event in events:
            text = f"{_clock_text(event.at)} {event.text}"
            rollout = rollout.after(text, event.at, status=event.status, error=event.error)
        self._store.save_rollout(rollout)


def _key(deployment: Deployment) -> str:
    return f"rollout-{deployment.id}"


def _new_rollout(deployment: Deployment, at: float) -> Rollout:
    return Rollout(
        id=_key(deployment),
        owner=deployment.owner,
        title=deployment.title,
        policy=deployment.policy,
        route=f"/{deployment.policy}",
        kind=deployment.kind,
        source=DEPLOYMENT,
        created_at=at,
        updated_at=at,
        deployment_id=deployment.id,
        endpoint=deployment.endpoint,
    )


def _clock_text(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
