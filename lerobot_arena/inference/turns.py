# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is at a policy that sessions share. Pure and without a lock: its owner has one.

Of each session at most one request waits: the newest, which inherits an unserved reset and its older's place in the
queue. A session that was served goes behind all that wait, so nobody is served twice while another one waits.
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
        self._present: set[str] = set()
        self._waiting: dict[str, Job] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, session_id: str) -> None:
        """A session comes."""
        self._present.add(session_id)

    def leave(self, session_id: str) -> None:
        """A session goes, and its request with it."""
        self._present.discard(session_id)
        self._waiting.pop(session_id, None)

    def ask(self, session_id: str, job: Job) -> None:
        """A request; it replaces one of the same session that still waits. A session that left has none."""
        if session_id not in self._present:
            return
        older = self._waiting.get(session_id)
        if older is not None and older.request.reset and not job.request.reset:
            job = replace(job, request=replace(job.request, reset=True))
        self._waiting[session_id] = job  # a dict keeps the place of a key it has

    def drop(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()

    def take(self, limit: int) -> list[tuple[str, Job]]:
        """The next sessions and their requests, at most `limit`, each another session's, the longest wait first."""
        chosen = list(self._waiting)[:limit]
        return [(session_id, self._waiting.pop(session_id)) for session_id in chosen]
