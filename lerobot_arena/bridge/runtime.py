# SPDX-License-Identifier: Apache-2.0
"""Seed 3's runtime control over sessions: a task is started on the arm whose session it means."""

from typing import Any

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.config_book import ConfigBook
from lerobot_arena.bridge.control_status import control_status
from lerobot_arena.bridge.session_book import BookedSession, SessionBook
from lerobot_arena.bridge.sight import Sight
from lerobot_arena.bridge.verbs import SessionVerbs
from lerobot_arena.core.errors import Conflict, NotFound
from lerobot_arena.core.guard_config import RunWanted
from lerobot_arena.core.session import PAUSED, RUNNING
from lerobot_arena.guard.task import Task


class Runtime:
    """Everything goes through SessionVerbs, so that sessions and runtime tell the same story."""

    def __init__(self, board: Board, book: SessionBook, config: ConfigBook, verbs: SessionVerbs) -> None:
        self._board, self._book, self._config, self._verbs = board, book, config, verbs

    def status(self, name: str) -> dict[str, Any]:
        """One arm's control status."""
        facts = self._board.facts(name)
        return control_status(
            name,
            facts,
            is_alive=self._board.is_fresh(facts.guard),
            config=self._config.config,
            run=self._book.run_of(name),
        )

    async def start(
        self, sight: Sight, arm: str | None, task_name: str, *, n_cycles: int, cycle_budget_ms: float
    ) -> dict[str, Any]:
        """Run a task. Raises NotFound for an unknown one, Conflict with the guard's reasons or when something runs.

        Forbidden when what it would run is somebody else's.
        """
        task = self._config.task(task_name)
        session = self._session_of(sight, task, arm)
        name = session.wanted.arm
        run = RunWanted(name, task.name, n_cycles, cycle_budget_ms)
        await self._verbs.start(session.wanted.session_id, run)
        return {
            "started": True,
            **self._brief(name),
            "task": task.name,
            "session_id": session.wanted.session_id,
            "n_cycles": n_cycles,
            "cycle_budget_ms": cycle_budget_ms,
        }

    async def pause(self, sight: Sight, arm: str | None) -> dict[str, Any]:
        """Hold after the current cycle, whosever it is. Raises Conflict unless the arm runs."""
        session = self._under_way(sight.any_arm(arm), "pause", RUNNING)
        await self._verbs.pause(session.wanted.session_id)
        return {"paused": True, **self._brief(session.wanted.arm)}

    async def resume(self, sight: Sight, arm: str | None) -> dict[str, Any]:
        """Go on after a pause. Raises Conflict unless the arm is paused, or with the guard's reasons.

        Forbidden when what is paused is somebody else's.
        """
        session = self._under_way(sight.arm(arm), "resume", PAUSED)
        sight.check_moves(session)
        await self._verbs.resume(session.wanted.session_id)
        return {"resumed": True, **self._brief(session.wanted.arm)}

    async def stop(self, sight: Sight, arm: str | None) -> dict[str, Any]:
        """End what runs, whosever it is, or a start that still waits; an arm that does nothing stays as it is."""
        name = sight.any_arm(arm)
        for session in self._book.of_arm(name):
            await self._verbs.halt(session.wanted.session_id)
        return {"stopped": True, **self._brief(name)}

    def _brief(self, arm: str) -> dict[str, Any]:
        status = self.status(arm)
        return {"state": status["state"], "arm": arm, "message": status["message"]}

    def _session_of(self, sight: Sight, task: Task, arm: str | None) -> BookedSession:
        if task.session_id:
            return self._named_session(sight, task, arm)
        name = sight.arm(arm)
        sessions = sight.of_arm(name)
        selected = [session for session in sessions if session.wanted.is_selected]
        if len(selected) == 1 or len(sessions) == 1:
            return (selected or sessions)[0]
        if not sessions and (others := self._book.of_arm(name)):
            sight.check_moves(others[0])
        if not sessions:
            raise Conflict(f"Arm {name!r} has no session to run: create one first (POST /sessions).")
        ids = ", ".join(session.wanted.session_id for session in sessions)
        raise Conflict(
            f"Arm {name!r} has the sessions {ids}, and none was selected: name one in the task's session_id, or start "
            "it once by POST /sessions/{id}/start."
        )

    def _named_session(self, sight: Sight, task: Task, arm: str | None) -> BookedSession:
        if arm is not None:
            sight.arm(arm)
        try:
            session = sight.session(task.session_id)
        except NotFound as error:
            raise Conflict(
                f"Task {task.name!r} means session {task.session_id!r}, which does not exist."
            ) from error
        if arm not in {None, session.wanted.arm}:
            raise Conflict(
                f"Task {task.name!r} means session {task.session_id!r}, which drives arm {session.wanted.arm!r}."
            )
        return session

    def _under_way(self, arm: str, verb: str, needed: str) -> BookedSession:
        status = self.status(arm)
        session_id = status["session_id"] or ""
        if status["state"] != needed or session_id not in self._book:
            raise Conflict(f"Only a {needed} arm can {verb}; arm {arm!r} is {status['state']}.")
        return self._book.get(session_id)
