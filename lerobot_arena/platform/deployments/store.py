# SPDX-License-Identifier: Apache-2.0
"""Deployments and rollouts in SQL. Blocking."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import Engine, Float, String, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, sessionmaker

from lerobot_arena.core.errors import Conflict
from lerobot_arena.platform.catalog.item import Item
from lerobot_arena.platform.deployments.deployment import Deployment, Scale
from lerobot_arena.platform.storage.database import Base

DEFAULT_RUN, DEPLOYMENT = "default-run", "deployment"
READY, IDLE, FAILED = "ready", "idle", "failed"
_MOST_EVENTS = 200


class DeploymentRow(Base):
    __tablename__ = "deployments"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    slug: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(200))
    policy: Mapped[str] = mapped_column(String(300))
    kind: Mapped[str] = mapped_column(String(64))
    hardware: Mapped[str | None] = mapped_column(String(100))
    scale: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)
    last_active_at: Mapped[float | None] = mapped_column(Float)


class RolloutRow(Base):
    __tablename__ = "rollouts"

    id: Mapped[str] = mapped_column(String(400), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(300))
    policy: Mapped[str] = mapped_column(String(300))
    route: Mapped[str] = mapped_column(String(1000))
    kind: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    deployment_id: Mapped[str | None] = mapped_column(String(40))
    endpoint: Mapped[str | None] = mapped_column(String(200))
    error_log: Mapped[str | None]
    events: Mapped[str]
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A policy's default run or a deployment's: what happened in it, newest event last."""

    id: str
    owner: str
    title: str
    policy: str
    route: str
    kind: str
    source: str
    created_at: float
    updated_at: float
    status: str = IDLE
    deployment_id: str | None = None
    endpoint: str | None = None
    error_log: str | None = None
    events: tuple[str, ...] = ()

    def after(self, event: str, at: float, *, status: str, error: str | None = None) -> "Rollout":
        """The rollout with one more event; the oldest go when there are too many."""
        log = self.error_log
        if error is not None:
            log = error if log is None else f"{log}\n{error}"[-8000:]
        events = (*self.events, event)[-_MOST_EVENTS:]
        return replace(self, events=events, updated_at=at, status=status, error_log=log)


def default_run(policy: Item, route: str, kind: str) -> Rollout:
    """The record of a policy's default run, as it was tried when it was published."""
    run: Mapping[str, Any] | None = policy.facts.get("run")
    if run is None:
        tried = "published without a default robot, so it was not run"
    else:
        end = "fell" if run["fell"] else "stood"
        tried = (
            f"ran {run['seconds']:g} s on {policy.facts['defaultRobotRef']}: {end}, {run['distance_m']:.2f} m"
        )
    return Rollout(
        id=f"rollout-default-{policy.owner}-{policy.slug.replace('/', '-')}",
        owner=policy.owner,
        title=f"{policy.title} default browser run",
        policy=policy.ref,
        route=route,
        kind=kind,
        source=DEFAULT_RUN,
        created_at=policy.created_at,
        updated_at=policy.updated_at,
        status=READY if run is not None else IDLE,
        events=(f"version {policy.version} published", tried),
    )


class DeploymentStore:
    """All deployments and rollouts."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def insert(self, deployment: Deployment) -> None:
        """Add a deployment. Raises Conflict when its endpoint is taken."""
        values = {item.name: getattr(deployment, item.name) for item in fields(deployment)}
        try:
            with self._open.begin() as db:
                db.add(DeploymentRow(**{**values, "scale": json.dumps(asdict(deployment.scale))}))
        except IntegrityError as error:
            raise Conflict(f"{deployment.endpoint} exists already.") from error

    def all(self, owner: str | None = None) -> list[Deployment]:
        """Deployments of one owner, or of everybody, newest first."""
        query = select(DeploymentRow).order_by(DeploymentRow.created_at.desc())
        if owner is not None:
            query = query.where(DeploymentRow.owner == owner)
        with self._open() as db:
            return [_deployment(row) for row in db.scalars(query)]

    def note_use(self, deployment_id: str, at: float) -> None:
        """Remember when it was used last."""
        with self._open.begin() as db:
            where = DeploymentRow.id == deployment_id
            db.execute(update(DeploymentRow).where(where).values(last_active_at=at, updated_at=at))

    def delete(self, deployment_id: str) -> None:
        """Remove a deployment; its rollouts stay as the record."""
        with self._open.begin() as db:
            db.execute(delete(DeploymentRow).where(DeploymentRow.id == deployment_id))

    def uses(self, policy: str) -> Sequence[Deployment]:
        """Deployments of a policy."""
        with self._open() as db:
            return [
                _deployment(row)
                for row in db.scalars(select(DeploymentRow).where(DeploymentRow.policy == policy))
            ]

    def save_rollout(self, rollout: Rollout) -> None:
        """Insert or replace a rollout; one of another policy that has its id already keeps it."""
        with self._open.begin() as db:
            taken = db.get(RolloutRow, rollout.id)
            if taken is not None and taken.policy != rollout.policy:
                # No id of the usual form has a slash.
                rollout = replace(rollout, id=f"rollout-default-{rollout.policy}")
            db.merge(RolloutRow(**{**asdict(rollout), "events": json.dumps(rollout.events)}))

    def rollout(self, rollout_id: str) -> Rollout | None:
        """One rollout."""
        with self._open() as db:
            row = db.get(RolloutRow, rollout_id)
            return None if row is None else _rollout(row)

    def rollouts(self, owner: str | None = None, limit: int = 500) -> list[Rollout]:
        """Rollouts of one owner, or of everybody, last changed first."""
        query = select(RolloutRow).order_by(RolloutRow.updated_at.desc()).limit(limit)
        if owner is not None:
            query = query.where(RolloutRow.owner == owner)
        with self._open() as db:
            return [_rollout(row) for row in db.scalars(query)]


def _deployment(row: DeploymentRow) -> Deployment:
    values = {item.name: getattr(row, item.name) for item in fields(Deployment)}
    return Deployment(**{**values, "scale": Scale(**json.loads(row.scale))})


def _rollout(row: RolloutRow) -> Rollout:
    values = {item.name: getattr(row, item.name) for item in fields(Rollout)}
    return Rollout(**{**values, "events": tuple(json.loads(row.events))})
