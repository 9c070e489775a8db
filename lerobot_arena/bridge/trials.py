# SPDX-License-Identifier: Apache-2.0
"""Physical trials: two policies on one arm, one after the other from the same scene, behind the guard, recorded.

A run has its number of cycles from the guard itself, so that an arm ends a run also when the bridge is gone.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.creation import SessionMaker
from lerobot_arena.bridge.models import CreateSessionRequest
from lerobot_arena.bridge.ports import ArmsLink
from lerobot_arena.bridge.published import Published
from lerobot_arena.bridge.session_book import BookedSession, SessionBook
from lerobot_arena.bridge.session_view import estop_reason
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.sight import is_virtual
from lerobot_arena.bridge.trial_policies import checkpoints_of, policy_name, policy_title
from lerobot_arena.bridge.verbs import SessionVerbs
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotAnswering
from lerobot_arena.core.guard_config import DEFAULT_TASK, RunWanted
from lerobot_arena.core.session import (
    CYCLES_DONE,
    ERROR,
    PAUSED,
    RUNNING,
    EmbodimentStatus,
    GuardState,
    TaskStatus,
)
from lerobot_arena.platform.arena.matchup import SIDES, Matchup
from lerobot_arena.platform.arena.trials import Run, new_side
from lerobot_arena.recording.status import IDLE

_log = logging.getLogger(__name__)

OWNER = "arena"
"""Of a trial's sessions. No user may be called so: whoever votes must not learn from a session what it runs."""
CYCLE_MS = 20.0
# Somebody may pause a run and think; longer, and both runs are no longer the same.
_LONGEST_PAUSE_S = 60.0
# An embodiment holds a moment after the last command, and only then sets up a scene.
_HOLD_S = 5.0
# As routes/recorder.py: the disk may take its time.
_RECORDER_S = 8.0
# What is not there yet, or busy, is asked again.
_TRIES, _RETRY_S = 30, 1.0
_DONE = "done"


class PhysicalTrials:
    """At most one on each arm. Everything that moves goes through SessionVerbs."""

    def __init__(
        self,
        published: Published,
        maker: SessionMaker,
        verbs: SessionVerbs,
        *,
        book: SessionBook,
        board: Board,
        link: ArmsLink,
        settings: Settings,
    ) -> None:
        self._published, self._maker, self._verbs = published, maker, verbs
        self._book, self._board, self._link, self._settings = book, board, link, settings
        self._ask = published.trial_desk.ask
        self._tasks: dict[str, asyncio.Task[None] | None] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """End what a bridge before this one left behind."""
        trials = self._published.trials
        reason = "The server was started again while it ran."
        recordings = await self._ask(lambda: trials.fail_unfinished(reason))
        left = [session for session in self._book.all() if session.record.owner == OWNER]
        for session in left:
            await self._book.remove(session)
        for arm in {session.wanted.arm for session in left} if recordings else ():
            task = asyncio.create_task(self._end_recording(arm, recordings))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Stop what runs; it ends as failed."""
        for task in [*self._tasks.values(), *self._ending]:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _end_recording(self, arm: str, recordings: set[str]) -> None:
        """Stop the arm's recorder if it still writes one of these. It may not have been heard of yet."""
        problem = ""
        for _ in range(_TRIES):
            try:
                status = json.loads(await self._call(arm, "record_status", _RECORDER_S))
                if status["state"] != IDLE and status["session_id"] in recordings:
                    await self._call(arm, "record_stop", _RECORDER_S)
                return
            except ArenaError as error:
                problem = str(error)
            await asyncio.sleep(_RETRY_S)
        _log.error("Arm %s may still record a trial that has ended (`arena record stop`): %s", arm, problem)

    async def begin(
        self, arm: str | None, policies: tuple[str, str] | None, *, seconds: float, seed: int | None
    ) -> Matchup:
        """A trial that is about to run; which policy is on which side is drawn.

        Raises InvalidInput, NotFound, PolicyError, Unavailable; Conflict when the arm is not free.
        """
        physical = [name for name in sorted(self._board.arms) if not is_virtual(name)]
        name = self._board.arm_or_only(arm, among=physical)
        embodiment = self._free(name)
        self._tasks[name] = None
        sessions: list[BookedSession] = []
        try:
            pair = await self._pair(policies, seed)
            for side, policy in zip(SIDES, pair, strict=True):
                sessions.append(await self._session(side, policy, embodiment))
            matchup = await self._matchup(sessions, embodiment)
        except BaseException:
            await self._clear(name, sessions)
            raise
        self._tasks[name] = asyncio.create_task(self._run(matchup, name, sessions, seconds))
        return matchup

    def _free(self, arm: str) -> EmbodimentStatus:
        facts = self._board.facts(arm)
        if arm in self._tasks:
            raise Conflict(f"Another trial runs on arm {arm!r}; wait for its end.")
        if facts.embodiment is None or facts.guard is None or not self._board.is_fresh(facts.guard):
            raise Conflict(f"Arm {arm!r} does not report: are its embodiment and guard running?")
        if facts.task is None:
            raise Conflict(
                f"Arm {arm!r} has no scene that can be set up alike for both policies; a simulated arm has "
                "(`arena up --robot mujoco`)."
            )
        if reason := estop_reason(facts.guard.value, facts.embodiment.value, arm):
            raise Conflict(reason)
        if facts.guard.value.state in {RUNNING, PAUSED}:
            raise Conflict(f"Arm {arm!r} is {facts.guard.value.state}: stop what it runs first.")
        return facts.embodiment.value

    async def _pair(self, policies: tuple[str, str] | None, seed: int | None) -> tuple[str, str]:
        published = self._published
        if policies is not None:
            return published.trials.sides_of(policies, seed)

        def draw() -> tuple[str, str]:
            names = checkpoints_of(published.shelf)
            if len(names) < 2:
                raise InvalidInput(
                    "There are no two checkpoints in the catalog to draw from: publish another one, or name two "
                    "policies."
                )
            return published.trials.draw(names, seed)

        return await self._ask(draw)

    async def _session(self, side: str, policy: str, embodiment: EmbodimentStatus) -> BookedSession:
        fields = {
            "session_id": f"trial-{secrets.token_hex(4)}-{side}",
            "policy_path": policy,
            "robot": embodiment.arm,
            "camera_names": list(embodiment.camera_names),
        }
        return await self._maker.create(CreateSessionRequest.model_validate(fields), OWNER)

    async def _matchup(self, sessions: list[BookedSession], embodiment: EmbodimentStatus) -> Matchup:
        published = self._published
        robot = embodiment.robot or embodiment.backend
        content = _sha256([embodiment.backend, embodiment.robot, embodiment.joint_names])

        def work() -> Matchup:
            left, right = (
                new_side(policy_name(session.record), policy_title(published.shelf, session.record))
                for session in sessions
            )
            return published.trials.begin(left, right, robot=robot, robot_content=content)

        return await self._ask(work)

    async def _run(self, matchup: Matchup, arm: str, sessions: list[BookedSession], seconds: float) -> None:
        trials, ask = self._published.trials, self._ask
        try:
            for side, session in zip(SIDES, sessions, strict=True):
                run = await self._run_side(matchup.id, side, session, seconds)
                before = await ask(lambda: self._published.arena.get(matchup.id))
                if before.scene not in {"", run.scene}:
                    raise Conflict(
                        f"The second run began in {run.scene}, the first in {before.scene}: somebody "
                        "reset the scene in between."
                    )
                await ask(lambda side=side, run=run: trials.note_run(matchup.id, side, run))  # type: ignore[misc]
        except ArenaError as error:
            await self._fail(matchup.id, str(error))
        except asyncio.CancelledError:
            await self._fail(matchup.id, "The server ended while it ran.")
            raise
        except Exception as error:
            _log.exception("Trial %s ended by a fault of ours.", matchup.id)
            await self._fail(matchup.id, f"The server failed: {type(error).__name__}; its log says more.")
        finally:
            await self._clear(arm, sessions)

    async def _fail(self, matchup_id: str, reason: str) -> None:
        """Whoever waits for the trial must learn of it: a database that is busy is asked again."""
        for _ in range(_TRIES):
            try:
                return await self._ask(lambda: self._published.trials.fail(matchup_id, reason))
            except (ArenaError, SQLAlchemyError) as error:
                _log.warning("Trial %s has failed (%s), which cannot be noted: %s", matchup_id, reason, error)
            await asyncio.sleep(_RETRY_S)

    async def _run_side(self, matchup_id: str, side: str, session: BookedSession, seconds: float) -> Run:
        """One policy, from the scene to its end. Raises ArenaError when it did not run to its end."""
        session_id, arm, trials = session.wanted.session_id, session.wanted.arm, self._published.trials
        await self._wait_until_loaded(session)
        scene = await self._set_scene(arm, "reset_scene" if side == SIDES[0] else "repeat_scene")
        async with self._recorded(arm) as recording:
            await self._ask(lambda: trials.note_recording(matchup_id, side, recording))
            run = RunWanted(arm, DEFAULT_TASK, max(1, round(seconds * 1000 / CYCLE_MS)), CYCLE_MS)
            try:
                await self._verbs.start(session_id, run)
                await self._wait_for_the_end(session, arm, seconds)
            finally:
                await self._verbs.halt(session_id)
        status = self._book.facts(session).status
        content = status.policy_hash if status is not None else ""
        return Run(recording, scene, content or _sha256(session.record.policy_reference))

    async def _wait_until_loaded(self, session: BookedSession) -> None:
        """So that a recording does not begin with a wait. What does not load, the start says."""

        def settled() -> bool:
            facts = self._book.facts(session)
            return facts.is_loaded or (facts.status is not None and facts.status.status == ERROR)

        await self._board.wait_for(settled, self._settings.start_timeout_s)

    async def _set_scene(self, arm: str, verb: str) -> str:
        def is_holding() -> bool:
            seen = self._board.facts(arm).embodiment
            return seen is not None and seen.value.is_holding

        before = self._task(arm)
        await self._board.wait_for(is_holding, _HOLD_S)
        await self._call(arm, verb, self._settings.verb_timeout_s)

        def is_new() -> TaskStatus | None:
            task = self._task(arm)
            return task if task is not None and (before is None or task.episode != before.episode) else None

        task = await self._board.wait_for(is_new, self._settings.verb_timeout_s)
        if task is None:
            raise NotAnswering(f"The simulator of arm {arm!r} does not show the scene it was asked for.")
        return f"{task.task} seed {task.seed}"

    @contextlib.asynccontextmanager
    async def _recorded(self, arm: str) -> AsyncIterator[str]:
        start = asyncio.ensure_future(self._call(arm, "record_start", _RECORDER_S))
        try:
            yield await asyncio.shield(start)
        finally:
            # Cancelled meanwhile, one does not know yet whether there is something to stop.
            await asyncio.wait([start])
            if start.exception() is None:
                await self._call(arm, "record_stop", _RECORDER_S)

    async def _wait_for_the_end(self, session: BookedSession, arm: str, seconds: float) -> None:
        outcome = await self._board.wait_for(lambda: self._outcome(session, arm), seconds + _LONGEST_PAUSE_S)
        if outcome is None:
            raise NotAnswering(
                f"The run did not end within {seconds + _LONGEST_PAUSE_S:g} s, so it was stopped."
            )
        if outcome != _DONE:
            raise Conflict(outcome)

    def _outcome(self, session: BookedSession, arm: str) -> str | None:
        """None while it runs, _DONE at its end, else why it ended before."""
        facts = self._board.facts(arm)
        guard = facts.guard.value if facts.guard is not None else GuardState(arm)
        if reason := estop_reason(guard, facts.embodiment.value if facts.embodiment else None, arm):
            return reason
        if not self._board.is_fresh(facts.guard):
            return f"The guard of arm {arm!r} no longer reports."
        if guard.session_id != session.wanted.session_id:
            return f"Arm {arm!r} runs something else by now."
        if guard.state not in {RUNNING, PAUSED}:
            return _DONE if guard.message == CYCLES_DONE else f"The run was stopped. {guard.message}".strip()
        task = self._task(arm)
        return _DONE if task is not None and task.is_over else None

    def _task(self, arm: str) -> TaskStatus | None:
        seen = self._board.facts(arm).task
        return seen.value if seen is not None else None

    async def _call(self, arm: str, verb: str, timeout_s: float) -> str:
        answer = await self._link.call(arm, verb, timeout_s=timeout_s)
        if not answer.success:
            raise Conflict(answer.message or f"Arm {arm!r} refused {verb}.")
        return answer.message

    async def _clear(self, arm: str, sessions: list[BookedSession]) -> None:
        """The arm is free again; what it ran is stopped and forgotten."""
        try:
            for session in sessions:
                await self._forget(session)
        finally:
            self._tasks.pop(arm, None)

    async def _forget(self, session: BookedSession) -> None:
        session_id = session.wanted.session_id
        if session_id not in self._book:
            return
        try:
            await self._verbs.delete(session_id)
        except ArenaError as error:
            _log.error("Session %s of a trial stays: %s", session_id, error)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()
