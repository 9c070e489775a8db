# SPDX-License-Identifier: Apache-2.0
"""What can be done to a session: start, pause, stop … A verb answers when the status shows its effect."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.ports import ArmsLink, VerbAnswer
from lerobot_arena.bridge.session_book import BookedSession, SessionBook
from lerobot_arena.bridge.session_view import SessionFacts, estop_reason
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.errors import Conflict, NotAnswering, Unavailable
from lerobot_arena.core.guard_config import RunWanted
from lerobot_arena.core.principal import LOCAL_NAME
from lerobot_arena.core.session import ERROR, PAUSED, RUNNING, GuardState

_log = logging.getLogger(__name__)

# The state a verb leads out of.
_BEFORE = {"pause": RUNNING, "resume": PAUSED}


class SessionVerbs:
    """One verb at a time per arm; a stop overtakes a start that still waits for its policy. All are idempotent."""

    def __init__(
        self,
        book: SessionBook,
        board: Board,
        link: ArmsLink,
        settings: Settings,
        *,
        config_version: Callable[[], int],
    ) -> None:
        """`config_version`: of the boundaries that a start has to find in force."""
        self._book, self._board, self._link, self._settings = book, board, link, settings
        self._config_version = config_version
        self._arm_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._chasing: set[asyncio.Task[None]] = set()

    async def start(self, session_id: str, run: RunWanted | None = None) -> None:
        """Run a session; one that is paused goes on. Raises NotFound, Conflict, Unavailable, NotAnswering.

        With a `run` it means exactly that run, so that a session which is under way already is a Conflict.
        """
        session = self._book.get(session_id)
        await self._start(session, session.intent, run)

    async def pause(self, session_id: str) -> None:
        """Hold until `resume`. Raises NotFound, Conflict when it does not run, Unavailable, NotAnswering."""
        await self._switch(self._book.get(session_id), "pause", PAUSED)

    async def resume(self, session_id: str) -> None:
        """Go on after a pause, from where the arm is. Raises as `pause`."""
        await self._switch(self._book.get(session_id), "resume", RUNNING)

    async def stop(self, session_id: str) -> None:
        """Stop a session; one that does not run stays as it is. Raises NotFound, Unavailable, NotAnswering."""
        session = self._book.get(session_id)
        session.intent += 1
        await self._stop(session)

    async def halt(self, session_id: str) -> None:
        """As `stop`, but a session that neither runs nor waits to is left as it is."""
        session = self._book.get(session_id)
        session.intent += 1
        async with self._arm_locks[session.wanted.arm]:
            await self._end_run(session)

    async def restart(self, session_id: str) -> None:
        """Stop, then start with a new epoch."""
        session = self._book.get(session_id)
        session.intent += 1
        intent = session.intent
        await self._stop(session)
        await self._start(session, intent)

    async def delete(self, session_id: str) -> None:
        """Stop and forget a session. Raises NotFound; NotAnswering when a living guard does not stop."""
        session = self._book.get(session_id)
        session.intent += 1
        await self._stop(session)
        await self._book.remove(session)

    async def reset(self, session_id: str) -> None:
        """Drop the actions that still wait for a session."""
        session = self._book.get(session_id)
        if self._book.facts(session).is_mine:
            answer = await self._call(session.wanted.arm, "clear_queue")
            if not answer.success:
                raise Conflict(answer.message or "The guard refused to clear its queue.")
        session.queue_cleared_at = time.time()

    async def _start(self, session: BookedSession, intent: int, run: RunWanted | None = None) -> None:
        if await self._is_under_way(session, run):
            return
        self._refuse_while_latched(session)
        await self._wait_until_loaded(session, intent)
        async with self._arm_locks[session.wanted.arm]:
            self._refuse_when_overtaken(session, intent)
            if await self._is_under_way(session, run):
                return
            self._refuse_while_latched(session)
            self._refuse_when_busy(session)
            run = run or RunWanted(session.wanted.arm)
            await self._select(session, intent, run)
            await self._run(session, intent, run)

    async def _is_under_way(self, session: BookedSession, run: RunWanted | None) -> bool:
        """Whether a start has nothing to do; a plain start lets a paused session go on."""
        facts = self._book.facts(session)
        if not facts.is_running or self._is_failed(session):
            return False
        state = facts.guard.state if facts.guard is not None else RUNNING
        if run is not None:
            remedy = "resume or stop it first" if state == PAUSED else "stop it first"
            raise Conflict(f"Session {session.wanted.session_id} is {state} already: {remedy}.")
        if state == PAUSED:
            await self._switch(session, "resume", RUNNING)
        return True

    async def _switch(self, session: BookedSession, verb: str, goal: str) -> None:
        """Pause or resume. Not under the arm's lock: a pause must not wait for a start of another session."""
        arm = session.wanted.arm
        answer = await self._call(arm, verb)
        if not answer.success:
            raise Conflict(answer.message or f"The guard of arm {arm!r} refused to {verb}.")

        def state() -> str | None:
            guard = self._board.facts(arm).guard
            return guard.value.state if guard is not None and guard.value.state != _BEFORE[verb] else None

        seen = await self._board.wait_for(state, self._settings.verb_timeout_s)
        if seen is None:
            raise NotAnswering(f"The guard of arm {arm!r} acknowledged the {verb}, but does not show it.")
        if seen != goal:
            raise Conflict(f"The {verb} of arm {arm!r} was overtaken: {self._describe(session)}")

    async def _wait_until_loaded(self, session: BookedSession, intent: int) -> None:
        """Until a policy can answer and a guard lives. An overtaken start ends at once."""

        def settled() -> SessionFacts | None:
            facts = self._book.facts(session)
            can_answer = facts.is_loaded or (self._is_failed(session) and facts.is_inference_alive)
            is_over = self._is_overtaken(session, intent) or self._latched(session)
            return facts if is_over or (facts.is_guard_alive and can_answer) else None

        facts = await self._board.wait_for(settled, self._settings.start_timeout_s)
        self._refuse_when_overtaken(session, intent)
        self._refuse_while_latched(session)
        if facts is None:
            raise NotAnswering(
                f"Session {session.wanted.session_id} was not ready within {self._settings.start_timeout_s:g} s: "
                + self._describe(session)
            )
        if not facts.is_loaded:
            raise Conflict(f"Session {session.wanted.session_id}: {self._describe(session)}")

    async def _select(self, session: BookedSession, intent: int, run: RunWanted) -> None:
        generation = await self._book.select(session, run)
        arm = session.wanted.arm

        def has_seen() -> bool:
            guard = self._board.facts(arm).guard
            has = (
                guard is not None
                and guard.value.wanted_generation >= generation
                and self._config_version() in {guard.value.config_version, guard.value.config_refused}
            )
            return has or self._is_overtaken(session, intent)

        has_answered = await self._board.wait_for(has_seen, self._settings.verb_timeout_s)
        self._refuse_when_overtaken(session, intent)
        seen = self._board.facts(arm).guard
        if not has_answered or seen is None:
            raise NotAnswering(
                f"The guard of arm {arm!r} did not take up the session and the boundaries: is it running?"
            )
        if seen.value.config_version != self._config_version():
            raise Conflict(f"The guard of arm {arm!r} refuses the boundaries: {seen.value.config_problem}")

    async def _run(self, session: BookedSession, intent: int, run: RunWanted) -> None:
        """Call the guard, then wait for `running`. A start that cannot be seen to work is taken back."""
        arm, session_id = session.wanted.arm, session.wanted.session_id
        guard = self._board.facts(arm).guard
        epoch_before = guard.value.epoch if guard is not None else 0
        try:
            answer = await self._call(arm, "start")
        except NotAnswering:
            # The guard may still get to it, and nobody would know that the arm moves.
            self._take_back(arm)
            raise
        if not answer.success:
            raise Conflict(answer.message or f"The guard of arm {arm!r} refused to start.")
        session.has_run = True

        def outcome() -> str | None:
            facts = self._book.facts(session)
            if self._is_overtaken(session, intent):
                return "overtaken"
            if facts.is_running and not self._is_failed(session):
                return RUNNING
            state = facts.guard
            is_over = (
                state is not None and state.epoch != epoch_before and state.state not in {RUNNING, PAUSED}
            )
            return "ended" if is_over else None

        seen = await self._board.wait_for(outcome, self._settings.verb_timeout_s)
        if seen == "overtaken":
            await self._stop_guard(session)
            self._refuse_when_overtaken(session, intent)
        # A run of a few cycles may be over before it was seen to run.
        if seen != RUNNING and not (seen == "ended" and run.n_cycles > 0):
            reason = self._describe(session)
            if seen is None:
                self._take_back(arm)
            raise NotAnswering(f"Session {session_id} was started, but: {reason}")

    async def _stop(self, session: BookedSession) -> None:
        async with self._arm_locks[session.wanted.arm]:
            await self._end_run(session)
            session.has_run = True

    async def _end_run(self, session: BookedSession) -> None:
        facts = self._book.facts(session)
        if facts.is_mine and facts.guard is not None and facts.guard.state in {RUNNING, PAUSED}:
            await self._stop_guard(session)

    async def _stop_guard(self, session: BookedSession) -> None:
        arm = session.wanted.arm
        try:
            answer = await self._call(arm, "stop")
        except Unavailable:
            if self._book.facts(session).is_guard_alive:
                raise
            _log.warning(
                "The guard of arm %s is gone, so session %s does not run.", arm, session.wanted.session_id
            )
            return
        if not answer.success:
            raise Conflict(answer.message or f"The guard of arm {arm!r} refused to stop.")

        def is_stopped() -> bool | None:
            return not self._book.facts(session).is_running or None

        if not await self._board.wait_for(is_stopped, self._settings.verb_timeout_s):
            raise NotAnswering(f"The guard of arm {arm!r} acknowledged the stop but still says that it runs.")

    def _take_back(self, arm: str) -> None:
        async def stop() -> None:
            try:
                await self._call(arm, "stop")
            except (NotAnswering, Unavailable) as error:
                _log.error("A start of arm %s got no answer, and taking it back neither: %s", arm, error)

        task = asyncio.create_task(stop())
        self._chasing.add(task)
        task.add_done_callback(self._chasing.discard)

    async def _call(self, arm: str, verb: str) -> VerbAnswer:
        return await self._link.call(arm, verb, timeout_s=self._settings.verb_timeout_s)

    def _is_failed(self, session: BookedSession) -> bool:
        status = self._book.facts(session).status
        return status is not None and status.status == ERROR

    def _is_overtaken(self, session: BookedSession, intent: int) -> bool:
        return session.intent != intent or session.wanted.session_id not in self._book

    def _describe(self, session: BookedSession) -> str:
        view = self._book.view(session, input_timeout_s=self._settings.input_timeout_s)
        return f"it is {view.status}" + (f": {view.error_message}" if view.error_message else ".")

    def _latched(self, session: BookedSession) -> str | None:
        facts = self._book.facts(session)
        return estop_reason(facts.guard, facts.embodiment, session.wanted.arm)

    def _refuse_while_latched(self, session: BookedSession) -> None:
        if reason := self._latched(session):
            raise Conflict(reason)

    def _refuse_when_overtaken(self, session: BookedSession, intent: int) -> None:
        if session.wanted.session_id not in self._book:
            raise Conflict(f"Session {session.wanted.session_id} was deleted while it waited to start.")
        if session.intent != intent:
            raise Conflict(f"Another request overtook the start of session {session.wanted.session_id}.")

    def _refuse_when_busy(self, session: BookedSession) -> None:
        seen = self._board.facts(session.wanted.arm).guard
        state: GuardState | None = seen.value if seen is not None else None
        if (
            state is not None
            and self._board.is_fresh(seen)
            and state.state in {RUNNING, PAUSED}
            and state.session_id != session.wanted.session_id
        ):
            other = (
                f"session {state.session_id}" if self._knows(session, state.session_id) else "another session"
            )
            raise Conflict(f"Arm {session.wanted.arm!r} is busy with {other}. Stop that first.")

    def _knows(self, session: BookedSession, other_id: str) -> bool:
        """Whether the owner of a session may be told the id of another one."""
        owner = session.record.owner
        if owner == LOCAL_NAME or other_id not in self._book:
            return owner == LOCAL_NAME
        return self._book.get(other_id).record.owner == owner
