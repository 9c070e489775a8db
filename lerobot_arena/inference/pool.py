# SPDX-License-Identifier: Apache-2.0
"""One thread and one child process per loaded policy; sessions of a policy take fair turns at it.

Of each session at most one request is being served and at most one waits: the newest, which inherits an unserved
reset. The session that waited longest since its last turn is next. A lost process is replaced, ever more slowly while
it keeps failing.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.errors import ArenaError, Unavailable
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.worker_client import WorkerClient, WorkerLost, WorkerOptions

IDLE_CHECK_S = 0.2
MAX_THROWS = 3
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Job:
    """A request and when it came, on the steady clock."""

    request: ChunkRequest
    received_ns: int


class PolicyUser(Protocol):
    """What a worker does for a session; called on the worker's thread."""

    def on_loaded(self, client: WorkerClient) -> None:
        """A process that can answer is up."""

    def on_lost(self, message: str, *, will_return: bool) -> None:
        """There is no process, and why; `will_return` when another one is being started."""

    def serve(self, job: Job, client: WorkerClient) -> bool:
        """Answer one request; False when the policy threw. Raises WorkerLost."""


class PolicyWorker:
    """The thread that owns a policy's process."""

    def __init__(
        self,
        manifest: PolicyManifest,
        options: WorkerOptions,
        clock: Clock,
        *,
        on_fault: Callable[[str], None],
    ) -> None:
        self._manifest, self._options, self._clock = manifest, options, clock
        self._on_fault = on_fault
        self._wake = threading.Condition()
        self._users: dict[str, PolicyUser] = {}
        self._waiting: dict[str, Job] = {}
        self._turns: dict[str, int] = {}
        self._forgotten: list[str] = []
        self._turn = self._failures = self._throws = 0
        self._is_closing = False
        self._child: WorkerClient | None = None  # there is a process
        self._client: WorkerClient | None = None  # it can answer
        self._refusal = ""
        self._thread = threading.Thread(target=self._run, name=f"policy-{manifest.policy_type}", daemon=True)
        self._thread.start()

    def add(self, session_id: str, user: PolicyUser) -> None:
        """Add a session."""
        with self._wake:
            self._users[session_id] = user
            self._turns[session_id] = self._turn

    def greet(self, user: PolicyUser) -> None:
        """Tell a new session when the process is up already, or the policy cannot be loaded."""
        with self._wake:
            client, refusal = self._client, self._refusal
        if client is not None:
            user.on_loaded(client)
        elif refusal:
            user.on_lost(refusal, will_return=False)

    def leave(self, session_id: str) -> bool:
        """Remove a session. Returns whether nobody is left, in which case `close` is due."""
        with self._wake:
            self._users.pop(session_id, None)
            self._waiting.pop(session_id, None)
            self._forgotten.append(session_id)
            return not self._users

    def ask(self, session_id: str, job: Job) -> None:
        """Queue a request; it replaces one of the same session that still waits."""
        with self._wake:
            older = self._waiting.get(session_id)
            if older is not None and older.request.reset and not job.request.reset:
                job = replace(job, request=replace(job.request, reset=True))
            self._waiting[session_id] = job
            self._wake.notify()

    def close(self) -> None:
        """End thread and process without waiting for a policy that hangs."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
            child = self._child
        if child is not None:
            child.kill_process()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._is_closing:
            try:
                self._serve_one_process()
            except WorkerLost as lost:
                self._failures += 1
                self._tell_lost(str(lost), will_return=True)
                self._pause(BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1])
            except ArenaError as refused:
                self._refusal = str(refused)
                self._tell_lost(self._refusal, will_return=False)
                self._pause(None)
            except Exception as error:  # our own bug: it must not end silently with the thread
                self._on_fault(f"The worker thread of {self._manifest.policy_type} failed: {error!r}")
                self._tell_lost(f"The inference process failed: {error!r}", will_return=True)
                self._pause(BACK_OFF_S[-1])

    def _tell_lost(self, message: str, *, will_return: bool) -> None:
        if self._is_closing:
            return
        with self._wake:
            self._waiting.clear()
            users = list(self._users.values())
        for user in users:
            user.on_lost(message, will_return=will_return)

    def _pause(self, seconds: float | None) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._is_closing, seconds)

    def _serve_one_process(self) -> None:
        client = WorkerClient(self._manifest, self._options)
        try:
            with self._wake:
                self._child = client
                if self._is_closing:
                    return
            client.load(self._manifest)
            with self._wake:
                self._client, users = client, list(self._users.values())
                self._forgotten.clear()
            for user in users:
                user.on_loaded(client)
            self._serve_requests(client)
        finally:
            with self._wake:
                self._client = self._child = None
            client.kill()

    def _serve_requests(self, client: WorkerClient) -> None:
        while True:
            found = self._next()
            if self._is_closing:
                return
            if not client.is_alive():
                raise WorkerLost(f"The policy's process {client.death()}.")
            for session_id in self._take_forgotten():
                client.forget(session_id)
            if found is not None:
                user, job = found
                self._count(user.serve(job, client))

    def _count(self, is_served: bool) -> None:
        self._throws = 0 if is_served else self._throws + 1
        if is_served:
            self._failures = 0
        elif self._throws >= MAX_THROWS:
            self._throws = 0
            raise WorkerLost(f"The policy failed {MAX_THROWS} times in a row; its process is being replaced.")

    def _take_forgotten(self) -> list[str]:
        with self._wake:
            taken, self._forgotten = self._forgotten, []
        return taken

    def _next(self) -> tuple[PolicyUser, Job] | None:
        """The request whose session waited longest since its last turn; None after a while, to look around."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._is_closing, IDLE_CHECK_S)
            if not self._waiting or self._is_closing:
                return None
            session_id = min(self._waiting, key=lambda name: self._turns.get(name, 0))
            self._turn += 1
            self._turns[session_id] = self._turn
            job, user = self._waiting.pop(session_id), self._users.get(session_id)
        return None if user is None else (user, job)


class WorkerPool:
    """Workers by what they load: sessions of equal manifests share one, unless the policy type keeps state."""

    def __init__(self, options: WorkerOptions, clock: Clock, *, on_fault: Callable[[str], None]) -> None:
        self._options, self._clock, self._on_fault = options, clock, on_fault
        self._lock = threading.Lock()
        self._workers: dict[tuple[object, ...], PolicyWorker] = {}
        self._keys: dict[str, tuple[object, ...]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._workers)

    def join(self, session_id: str, manifest: PolicyManifest, user: PolicyUser) -> PolicyWorker:
        """Give the session its worker, starting one when there is none for this policy. Raises Unavailable."""
        key = _key(session_id, manifest)
        with self._lock:
            if self._is_closed:
                raise Unavailable("The inference process is ending.")
            worker = self._workers.get(key)
            if worker is None:
                worker = PolicyWorker(manifest, self._options, self._clock, on_fault=self._on_fault)
                self._workers[key] = worker
            self._keys[session_id] = key
            worker.add(session_id, user)
        worker.greet(user)
        return worker

    def leave(self, session_id: str) -> None:
        """Take the session off its worker, which ends with its last session."""
        with self._lock:
            key = self._keys.pop(session_id, None)
            worker = self._workers.get(key) if key is not None else None
            if worker is None or key is None or not worker.leave(session_id):
                return
            del self._workers[key]
        worker.close()

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            self._is_closed = True
            workers = list(self._workers.values())
            self._workers.clear()
            self._keys.clear()
        for worker in workers:
            worker.close()


def _key(session_id: str, manifest: PolicyManifest) -> tuple[object, ...]:
    shared = replace(manifest, sources=(), training={})
    return (shared.to_json(), _file_identity(manifest), session_id if manifest.keeps_state else "")


def _file_identity(manifest: PolicyManifest) -> tuple[int, int]:
    """Changes when the weights on disk are replaced, so that a new session does not join the old ones."""
    if not manifest.weights:
        return (0, 0)
    stat = (Path(manifest.path) / manifest.weights).stat()
    return (stat.st_mtime_ns, stat.st_size)
