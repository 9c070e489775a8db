# SPDX-License-Identifier: Apache-2.0
"""All wanted sessions in memory, in step with the database and with what is published."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.session_view import SessionFacts, SessionView, view_session
from lerobot_arena.bridge.store import SessionRecord, SessionStore
from lerobot_arena.bridge.tally import Tally
from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.errors import Conflict, NotFound
from lerobot_arena.core.guard_config import RunWanted
from lerobot_arena.core.session import PAUSED, RUNNING, GuardState, SessionsWanted, SessionWanted

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class BookedSession:
    """One session and what the bridge knows of its life so far.

    `intent` grows with every verb, so that a start that waits learns that it was overtaken.
    """

    record: SessionRecord
    wanted: SessionWanted
    generation: int
    created_ns: int
    has_run: bool = False
    intent: int = 0
    queue_cleared_at: float = 0.0
    tally: Tally = field(default_factory=Tally)


class SessionBook:
    """Changes are written first, then published; `publish` gets the whole set each time."""

    def __init__(
        self,
        store: SessionStore,
        board: Board,
        publish: Callable[[SessionsWanted], None],
        *,
        max_sessions: int,
    ) -> None:
        self._store, self.board, self._publish = store, board, publish
        self.checks: list[Callable[[SessionRecord], None]] = []
        """Called with a new session before it is written; each may raise a Conflict."""
        self.listeners: list[Callable[[list[BookedSession]], None]] = []
        """Called with all sessions whenever they changed."""
        self._max_sessions = max_sessions
        self._sessions: dict[str, BookedSession] = {}
        self._runs: dict[str, RunWanted] = {}
        self._generation = 0
        self._lock = asyncio.Lock()
        board.guard_listeners.append(self._on_guard)

    async def open(self) -> None:
        """Load what was wanted before the restart and publish it; every session comes back stopped."""
        async with self._lock:
            before, records = await asyncio.to_thread(self._store.load)
            self._generation = before
            generation = self._next_generation()
            await asyncio.to_thread(self._store.note_generation, generation)
            for record in records:
                self._sessions[record.wanted.session_id] = self._booked(record, generation, has_run=True)
            self._announce(generation)

    def all(self) -> list[BookedSession]:
        """Every session, oldest first."""
        return list(self._sessions.values())

    def get(self, session_id: str) -> BookedSession:
        """One session. Raises NotFound."""
        try:
            return self._sessions[session_id]
        except KeyError:
            raise NotFound(f"Session {session_id} not found") from None

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._sessions

    def of_arm(self, arm: str) -> list[BookedSession]:
        """The sessions that drive one arm."""
        return [session for session in self._sessions.values() if session.wanted.arm == arm]

    async def add(self, record: SessionRecord) -> BookedSession:
        """Write and publish a new session. Raises Conflict on a known id or room, or when there are too many."""
        async with self._lock:
            if len(self._sessions) >= self._max_sessions:
                raise Conflict(f"There are {len(self._sessions)} sessions already; delete one first.")
            for check in self.checks:
                check(record)
            generation = self._next_generation()
            await asyncio.to_thread(self._store.insert, record, generation)
            session = self._booked(record, generation, has_run=False)
            self._sessions[record.wanted.session_id] = session
            self._announce(generation)
            return session

    async def remove(self, session: BookedSession) -> None:
        """Forget a session everywhere."""
        async with self._lock:
            generation = self._next_generation()
            await asyncio.to_thread(self._store.delete, session.wanted.session_id, generation)
            self._sessions.pop(session.wanted.session_id, None)
            self._announce(generation)

    def run_of(self, arm: str) -> RunWanted:
        """How the arm's next start is meant."""
        return self._runs.get(arm, RunWanted(arm))

    async def select(self, session: BookedSession, run: RunWanted) -> int:
        """Make the arm's next start mean this session and run; returns the generation a guard must have seen for that.

        A run is of its start: it is kept in memory only, and the next start says anew.
        """
        async with self._lock:
            siblings = self.of_arm(session.wanted.arm)
            is_selected = session.wanted.is_selected and not any(
                other.wanted.is_selected for other in siblings if other is not session
            )
            if is_selected and self.run_of(run.arm) == run:
                return self._generation
            self._runs[run.arm] = run
            generation = self._next_generation()
            ids = [other.wanted.session_id for other in siblings]
            await asyncio.to_thread(self._store.select, session.wanted.session_id, ids, generation)
            for other in siblings:
                other.wanted = replace(other.wanted, is_selected=other is session)
            self._announce(generation)
            return generation

    def facts(self, session: BookedSession) -> SessionFacts:
        """What the session's status depends on, now."""
        board, wanted = self.board, session.wanted
        arm = board.facts(wanted.arm)
        held = board.sessions
        knows = held is not None and held.value.wanted_generation >= session.generation
        guard = arm.guard.value if arm.guard else None
        if guard is not None and guard.wanted_generation < session.generation and session.wanted.is_virtual:
            guard = None
        return SessionFacts(
            wanted=wanted,
            has_run=session.has_run,
            age_s=seconds_between(session.created_ns, board.clock.steady_ns()),
            status=held.value.of(wanted.session_id) if held is not None and knows else None,
            inference_age_s=board.age_s(held),
            guard=guard,
            guard_age_s=board.age_s(arm.guard),
            embodiment=arm.embodiment.value if arm.embodiment else None,
        )

    def view(self, session: BookedSession, *, input_timeout_s: float) -> SessionView:
        """The status a client reads."""
        return view_session(self.facts(session), input_timeout_s=input_timeout_s)

    def _booked(self, record: SessionRecord, generation: int, *, has_run: bool) -> BookedSession:
        return BookedSession(record, record.wanted, generation, self.board.clock.steady_ns(), has_run=has_run)

    def _next_generation(self) -> int:
        # Past the wall clock's milliseconds, so that a fresh database still outruns what guards have seen.
        return max(self._generation + 1, self.board.clock.wall_ns() // 1_000_000)

    def _announce(self, generation: int) -> None:
        self._generation = generation
        arms = {session.wanted.arm for session in self._sessions.values()}
        self._runs = {arm: run for arm, run in self._runs.items() if arm in arms and run != RunWanted(arm)}
        self._publish(
            SessionsWanted(
                generation,
                tuple(session.wanted for session in self._sessions.values()),
                tuple(self._runs.values()),
            )
        )
        for listener in self.listeners:
            try:
                listener(self.all())
            except Exception:  # the sessions are written already, and e-stops depend on their being there
                _log.exception("A listener to the sessions failed.")

    def _on_guard(self, before: GuardState | None, now: GuardState) -> None:
        session = self._sessions.get(now.session_id)
        if session is None or session.wanted.arm != now.arm:
            return
        session.has_run = session.has_run or now.state in {RUNNING, PAUSED}
        if before is None or before.session_id == now.session_id:
            session.tally.add(before, now)
