# SPDX-License-Identifier: Apache-2.0
"""The catalog and what is built on it, as the routes use it: items, files, matchups, votes and their table."""

import asyncio
import contextlib
import hashlib
import logging

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.bridge.desk import Desk
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.uploads import sweep_uploads
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.platform.accounts.secret_file import load_secret
from lerobot_arena.platform.arena.leaderboard import Leaderboard
from lerobot_arena.platform.arena.service import Arena
from lerobot_arena.platform.arena.store import ArenaStore
from lerobot_arena.platform.arena.trials import Trials
from lerobot_arena.platform.catalog.checkpoints import Checkpoints
from lerobot_arena.platform.catalog.checks import Checks
from lerobot_arena.platform.catalog.item import POLICY, Item
from lerobot_arena.platform.catalog.publishing import Publisher
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.catalog.shipped import seed_catalog
from lerobot_arena.platform.datasets.links import Links
from lerobot_arena.platform.datasets.service import Datasets
from lerobot_arena.platform.datasets.store import DatasetStore
from lerobot_arena.platform.deployments.deployment import BROWSER, RUNS
from lerobot_arena.platform.deployments.store import DeploymentStore, default_run
from lerobot_arena.platform.storage.blobs import Blobs

_log = logging.getLogger(__name__)
# A burst of votes makes one new table.
_SETTLE_S = 2.0
_MOST_LISTED = 1000


class Published:
    """What is published here. All of it blocks: ask through the desk."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self.clock = clock
        self.desk = Desk("the catalog")
        # The catalog's desk is open to everybody; a robot's run does not wait behind it.
        self.trial_desk = Desk("physical trials", threads=2)
        self.shelf = Shelf(engine)
        self.blobs = Blobs(settings.blobs)
        self.deployed = DeploymentStore(engine)
        checks = Checks(checkpoint_bytes=settings.checkpoint_max_bytes)
        self.publisher = Publisher(self.shelf, self.blobs, checks, clock=clock)
        # Checks take a minute or two, large uploads more; lists and files do not wait behind them, nor others' uploads
        # behind those of one account.
        self.publishing = Desk("publishing", most_waiting=32, most_each=2)
        self.large = Desk("large uploads", threads=2, most_waiting=8, most_each=2)
        self.checkpoints = Checkpoints(
            self.shelf,
            self.blobs,
            settings.data_dir / "checkpoints",
            most_bytes=settings.checkpoint_max_bytes,
        )
        self.datasets = Datasets(
            DatasetStore(engine),
            # What is published is public, and goes when its last item does; these are neither.
            Blobs(f"{settings.blobs}/datasets"),
            clock,
            most_file_bytes=settings.dataset_file_max_bytes,
        )
        self.links = Links(_key_for(b"datasets", settings), clock)
        self.votes = ArenaStore(engine)
        self.arena = Arena(self.shelf, self.votes, secret=_key_for(b"voters", settings), clock=clock)
        self.trials = Trials(self.votes, clock=clock)
        self.leaderboard = Leaderboard(self.votes, self.listed_policies, clock)
        self._is_table_old = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._seeds = settings.seed_catalog
        self._seeding: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._uploads = settings.data_dir / "uploads"

    def open(self) -> None:
        """Begin to keep the table in step with the votes; remove what a killed process left half-written."""
        self._is_table_old.set()
        self._sweeping = asyncio.create_task(asyncio.to_thread(self._sweep))
        self._keeping = asyncio.create_task(self._keep_table())
        if self._seeds:
            self._seeding = asyncio.create_task(self._seed())

    async def close(self) -> None:
        """Stop; give back the threads."""
        tasks = [task for task in (self._keeping, self._seeding, self._sweeping) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # each has logged what ended it
        self.desk.close()
        self.trial_desk.close()
        self.publishing.close()
        self.large.close()

    def note_published(self, item: Item) -> None:
        """A policy's default run is the first of its rollouts. Blocking."""
        if item.kind == POLICY:
            names = [item.ref, item.facts.get("defaultRobotRef"), item.facts.get("defaultSceneRef")]
            route = "/" + ("/".join(map(str, names)) if all(names) else item.ref)
            self.deployed.save_rollout(default_run(item, route, BROWSER))

    def is_in_use(self, kind: str, ref: str) -> bool:
        """A deployment runs it; a policy and a checkpoint may have the same name. Blocking."""
        return any(RUNS.get(one.kind, kind) == kind for one in self.deployed.uses(ref))

    def renew_table(self) -> None:
        """There is a vote, or a policy, more or less than in the table."""
        self._is_table_old.set()

    async def _seed(self) -> None:
        """In a thread of its own: the catalog answers meanwhile, and everything else anyway."""
        try:
            items = await asyncio.to_thread(seed_catalog, self.shelf, self.publisher)
            for item in items:
                await self.desk.ask(lambda item=item: self.note_published(item))  # type: ignore[misc]
        except Exception:  # the database's own kinds among them; the next start tries again
            _log.exception("What is shipped is not published: the next start of the bridge tries again.")
            return
        self.renew_table()
        if items:
            _log.info("Published what is shipped: %s.", ", ".join(item.ref for item in items))

    async def _keep_table(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_table_old.wait(), self.leaderboard.due_in_s)
            self._is_table_old.clear()
            try:
                await self.desk.ask(self.leaderboard.refresh)
            except (ArenaError, SQLAlchemyError) as error:
                _log.warning("The leaderboard stays as it was: %s", error)
                self._is_table_old.set()  # they are still to be counted
            except Exception:
                _log.exception("The leaderboard stays as it was.")
            await asyncio.sleep(_SETTLE_S)

    def _sweep(self) -> None:
        self.blobs.sweep()
        self.datasets.blobs.sweep()
        sweep_uploads(self._uploads)

    def listed_policies(self) -> list[str]:
        """Those that are in the table also without a vote. Blocking."""
        return [
            item.ref for item in self.shelf.list(POLICY, limit=_MOST_LISTED) if item.facts.get("controlSpec")
        ]


def _key_for(purpose: bytes, settings: Settings) -> bytes:
    """A key of its own, so that whoever learns one purpose's hashes learns nothing about logins."""
    secret = load_secret(settings.data_dir, settings.jwt_secret.get_secret_value())
    return hashlib.sha256(purpose + b"\0" + secret).digest()
