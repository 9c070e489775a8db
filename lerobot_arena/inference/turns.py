# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is at a policy that sessions share. Pure and without a lock: its owner has one.

Of each session at most one request waits: the newest, which inherits an unserved reset. The session that waited
longest since its last turn is first, so nobody is served twice while another one waits.
"""

from dataclasses import dataclass, replace

from lerobot_arena.core.cycle import ChunkRequest


@dataclass(frozen=True, slots=True)
class Job:
    """A request and when it came, on the steady clock."""

    request: ChunkRequest
    received_ns: int


class Turns:
    """The waiting requests of the sessions at one policy. True while one waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, Job] = {}
        self._latest: dict[str, int] = {}
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, session_id: str) -> None:
        """A session comes, as one that had its turn just now."""
        self._latest[session_id] = self._turn

    def leave(self, session_id: str) -> None:
        """A session goes, and its request with it."""
        self._latest.pop(session_id, None)
        self._waiting.pop(session_id, None)

    def ask(self, session_id: str, job: Job) -> None:
        """A request; it replaces one of the same session that still waits. A session that left has none."""
        if session_id not in self._latest:
            return
        older = self._waiting.get(session_id)
        if older is not None and older.request.reset and not job.request.reset:
            job = replace(job, request=replace(job.request, reset=True))
        self._waiting[session_id] = job

    def drop(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()

    def take(self, limit: int) -> list[tuple[str, Job]]:
        """The next sessions and their requests, at most `limit`, each another session's, the longest wait first."""
        # A stable sort: sessions that never had a turn go in the order in which they asked.
        chosen = sorted(self._waiting, key=lambda name: self._latest[name])[:limit]
        for session_id in chosen:
            self._turn += 1
            self._latest[session_id] = self._turn
        return [(session_id, self._waiting.pop(session_id)) for session_id in chosen]
