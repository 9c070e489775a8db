# SPDX-License-Identifier: Apache-2.0
"""Sessions of every kind under one roof: `GET /sessions` lists them all, and a verb finds the kind it is for.

A kind is a `SessionSource` in the list that services.py builds.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from lerobot_arena.bridge.answers import queue_answer, session_answer
from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.session_book import BookedSession, SessionBook
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.verbs import SessionVerbs
from lerobot_arena.core.errors import Conflict, InvalidInput, NotFound
from lerobot_arena.core.principal import Principal

INFERENCE = "inference"
Verb = Literal["start", "stop", "restart", "delete", "reset", "queue"]


@dataclass(frozen=True, slots=True)
class ListedSession:
    """One session as its source knows it: `fields` are those of seed 1's SessionStatusResponse, and more."""

    session_id: str
    owner: str
    fields: dict[str, Any] = field(default_factory=dict)


class SessionSource(Protocol):
    """All sessions of one kind. Ids are unique over all kinds."""

    @property
    def kind(self) -> str:
        """The word that `?kind=` takes."""
        ...

    def ids(self) -> Iterable[str]:
        """Of every session, oldest first."""
        ...

    def look(self, session_id: str) -> ListedSession:
        """One session now. Raises NotFound."""
        ...

    def refusal(self, verb: Verb) -> str:
        """Why no session of this kind has that verb; empty when it has."""
        ...

    async def do(self, verb: Verb, session_id: str) -> dict[str, Any]:
        """Carry out a verb that is not refused; what `queue` answers, else nothing."""
        ...


class InferenceSessions:
    """Policies that drive an arm, real or virtual."""

    kind = INFERENCE

    def __init__(
        self,
        book: SessionBook,
        board: Board,
        verbs: SessionVerbs,
        settings: Settings,
        *,
        remote_status: Callable[[str], dict[str, Any] | None] = lambda _: None,
    ) -> None:
        """`remote_status` tells of a session whose rooms are on another arena."""
        self._book, self._board, self._verbs, self._settings = book, board, verbs, settings
        self._remote_status = remote_status

    def ids(self) -> Iterable[str]:
        """Of every session, oldest first."""
        return [session.wanted.session_id for session in self._book.all()]

    def look(self, session_id: str) -> ListedSession:
        """One session now. Raises NotFound."""
        return self._listed(self._book.get(session_id))

    def _listed(self, session: BookedSession) -> ListedSession:
        view = self._book.view(session, input_timeout_s=self._settings.input_timeout_s)
        answer = session_answer(session, self._book.facts(session), view)
        remote = self._remote_status(session.wanted.session_id)
        if remote is not None:
            answer["rooms"]["remote"] = remote
        return ListedSession(session.wanted.session_id, session.record.owner, answer)

    def refusal(self, verb: Verb) -> str:
        """Everything can be done to these."""
        return ""

    async def do(self, verb: Verb, session_id: str) -> dict[str, Any]:
        """Raises what SessionVerbs raises."""
        if verb == "queue":
            session = self._book.get(session_id)
            return queue_answer(session, self._book.facts(session), self._board.sessions_before)
        await getattr(self._verbs, verb)(session_id)
        return {}


class SessionKinds:
    """The table of sources, as one caller or another sees it."""

    def __init__(self, sources: Sequence[SessionSource]) -> None:
        self.sources = list(sources)

    def __contains__(self, session_id: str) -> bool:
        """Whether any kind has a session of this id, whosever it is."""
        return any(session_id in source.ids() for source in self.sources)

    def listed(self, caller: Principal, kind: str | None = None) -> list[dict[str, Any]]:
        """The caller's sessions, of one kind or of all. Raises InvalidInput naming the kinds."""
        known = [source.kind for source in self.sources]
        if kind is not None and kind not in known:
            raise InvalidInput(f"There is no kind of session {kind!r}. Kinds: {', '.join(known)}.")
        found = []
        for source in self.sources:
            if kind in {None, source.kind}:
                looked = [source.look(session_id) for session_id in source.ids()]
                found += [_answer(source, one) for one in looked if caller.sees(one.owner)]
        return found

    def answer(self, caller: Principal, session_id: str) -> dict[str, Any]:
        """One session of the caller's. Raises NotFound, also for somebody else's."""
        source = self._source(session_id)
        return _answer(source, self._seen(source, caller, session_id))

    async def do(self, caller: Principal, verb: Verb, session_id: str) -> dict[str, Any]:
        """Carry out a verb. Raises NotFound, also for somebody else's; Conflict when the kind has no such verb."""
        source = self._source(session_id)
        # Whoever may stop something may stop everything.
        if verb != "stop":
            self._seen(source, caller, session_id)
        if reason := source.refusal(verb):
            raise Conflict(f"Session {session_id} is of the kind {source.kind}: {reason}")
        return await source.do(verb, session_id)

    def _seen(self, source: SessionSource, caller: Principal, session_id: str) -> ListedSession:
        one = source.look(session_id)
        caller.check_sees(one.owner, f"Session {session_id}")
        return one

    def _source(self, session_id: str) -> SessionSource:
        for source in self.sources:
            if session_id in source.ids():
                return source
        raise NotFound(f"Session {session_id} not found")


def _answer(source: SessionSource, one: ListedSession) -> dict[str, Any]:
    return {**one.fields, "kind": source.kind, "owner": one.owner}
