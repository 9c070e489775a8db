# SPDX-License-Identifier: Apache-2.0
"""The guards' configuration: in step with the database, with what is published, and with what the guards have in force.

A change answers when every living guard says that it checks by it; what a guard refuses is taken back.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.config_edits import (
    SESSIONS_ARM,
    Loosening,
    find_boundary,
    find_task,
    refuse_lengths,
    refuse_while_running,
)
from lerobot_arena.bridge.config_store import ConfigStore
from lerobot_arena.core.errors import Conflict, InvalidInput, NotAnswering, Unavailable
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.session import PAUSED, RUNNING, GuardState
from lerobot_arena.core.topics import arm_in_words
from lerobot_arena.guard.boundary import boundary_from_json
from lerobot_arena.guard.task import Task, task_from_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a version is in force, and where it was refused: arm → why."""

    arms: tuple[str, ...]
    refusals: dict[str, str]
    missing: tuple[str, ...]


class ConfigBook:
    """One change at a time. `shipped` is what a new database begins with."""

    def __init__(
        self,
        store: ConfigStore,
        board: Board,
        publish: Callable[[GuardConfig], None],
        *,
        shipped: Callable[[], GuardConfig],
        loosening: Loosening,
        timeout_s: float,
    ) -> None:
        self._store, self._board, self._publish = store, board, publish
        self._shipped, self._loosening, self._timeout_s = shipped, loosening, timeout_s
        self._config = GuardConfig()
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Load what was in force before the restart, or what is shipped, and publish it."""
        async with self._lock:
            known = await asyncio.to_thread(self._store.load)
            config = known if known is not None else await asyncio.to_thread(self._shipped)
            self._config = replace(config, version=self._next_version(config.version))
            await asyncio.to_thread(self._store.write, self._config)
            self._publish(self._config)

    @property
    def config(self) -> GuardConfig:
        """What is in force, or should be."""
        return self._config

    def boundary(self, name: str) -> dict[str, Any]:
        """One boundary as clients read it. Raises NotFound."""
        return boundary_answer(find_boundary(self._config, name))

    def task(self, name: str) -> Task:
        """One task. Raises NotFound; Conflict when an older version of this package wrote it otherwise."""
        item = find_task(self._config, name)
        try:
            return task_from_json(item.config)
        except InvalidInput as error:
            raise Conflict(f"Task {name!r} cannot be used: {error} PUT a new one.") from error

    async def change(
        self, edit: Callable[[GuardConfig], GuardConfig], *, is_trial: bool = False
    ) -> tuple[GuardConfig, Proof]:
        """Put `edit(present)` into force everywhere, or nowhere.

        A trial only says whether it would be refused here. Raises what `edit` raises, Conflict for what would loosen a
        run or what a guard refuses, and NotAnswering when a living guard does not show it in time.
        """
        async with self._lock:
            old = self._config
            edited = edit(old)
            refuse_lengths(old, edited, self._joints())
            refuse_while_running(old, edited, self._running(), self._loosening)
            if is_trial:
                return edited, self._proof(old.version)
            if edited == old:
                return old, await self._proven(old)
            new = replace(edited, version=self._next_version(old.version))
            await self._write(self._store.note_version, new.version)
            self._announce(new)
            try:
                proof = await self._proven(new)
                await self._write(self._store.write, new)
            except (Conflict, NotAnswering, Unavailable, asyncio.CancelledError):
                await self._take_back(old)
                raise
            return new, proof

    def in_force(self) -> dict[str, dict[str, Any]]:
        """What each living guard says of its configuration."""
        return {
            guard.arm: {
                "config_version": guard.config_version,
                "is_current": guard.config_version == self._config.version,
                "config_problem": guard.config_problem or None,
            }
            for guard in self._living()
        }

    def _announce(self, config: GuardConfig) -> None:
        self._config = config
        self._publish(config)

    async def _take_back(self, old: GuardConfig) -> None:
        """The content of before under a version of its own: a guard may have taken the other one."""
        self._announce(replace(old, version=self._next_version(self._config.version)))
        try:
            await self._write(self._store.note_version, self._config.version)
        except Unavailable as error:
            _log.error("A change of the boundaries was taken back, but: %s", error)

    @staticmethod
    async def _write[T](write: Callable[[T], None], content: T) -> None:
        try:
            await asyncio.to_thread(write, content)
        except SQLAlchemyError as error:
            raise Unavailable(
                f"The database cannot be written: {error.__cause__ or error}. Is the disk full?"
            ) from error

    async def _proven(self, config: GuardConfig) -> Proof:
        def settled() -> Proof | None:
            proof = self._proof(config.version)
            return proof if proof.refusals or not proof.missing else None

        await self._board.wait_for(settled, self._timeout_s)
        proof = self._proof(config.version)
        if proof.refusals:
            reasons = " ".join(
                f"The guard of {arm_in_words(arm)}: {why}" for arm, why in proof.refusals.items()
            )
            raise Conflict(f"Refused, and everything stays as it was. {reasons}")
        if proof.missing:
            raise NotAnswering(
                f"The guard of {', '.join(map(arm_in_words, proof.missing))} did not put it into force within "
                f"{self._timeout_s:g} s, so everything stays as it was. See /api/control/status."
            )
        return proof

    def _proof(self, version: int) -> Proof:
        living = self._living()
        refusals = {
            guard.arm: guard.config_problem or "it gave no reason."
            for guard in living
            if guard.config_refused == version != guard.config_version
        }
        have = tuple(guard.arm for guard in living if guard.config_version == version)
        return Proof(have, refusals, tuple(g.arm for g in living if g.arm not in {*have, *refusals}))

    def _living(self) -> list[GuardState]:
        board = self._board
        return [
            facts.guard.value
            for _, facts in sorted(board.arms.items())
            if facts.guard is not None and board.is_fresh(facts.guard)
        ]

    def _running(self) -> list[GuardState]:
        return [guard for guard in self._living() if guard.state in {RUNNING, PAUSED}]

    def _joints(self) -> dict[str, int]:
        """Arm, or session, → number of joints, as far as it is known."""
        found = {
            arm: len(facts.embodiment.value.joint_names)
            for arm, facts in sorted(self._board.arms.items())
            if facts.embodiment is not None
        }
        sessions = self._board.sessions.value.sessions if self._board.sessions is not None else ()
        found |= {f"{SESSIONS_ARM}{session.session_id}": len(session.joint_names) for session in sessions}
        return {name: count for name, count in found.items() if count}

    def _next_version(self, before: int) -> int:
        # Past the wall clock's milliseconds, so that a fresh database still outruns what guards have seen.
        return max(before + 1, self._board.clock.wall_ns() // 1_000_000)


def boundary_answer(item: BoundaryWanted) -> dict[str, Any]:
    """A boundary as clients read it; one that this version of the package cannot read says why."""
    try:
        return {**boundary_from_json(item.config).mapping(), "version": item.version}
    except InvalidInput as error:
        return {"name": item.name, "version": item.version, "problem": str(error)}


def task_answer(item: TaskWanted) -> dict[str, Any]:
    """The same of a task."""
    try:
        return task_from_json(item.config).mapping()
    except InvalidInput as error:
        return {"name": item.name, "problem": str(error)}
