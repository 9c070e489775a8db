# SPDX-License-Identifier: Apache-2.0
"""One thread and one child process per loaded policy; sessions of a policy take fair turns at it.

Of each session at most one request is being served and at most one waits (see turns.py). What waits when the process
becomes free is asked together where the policy takes a batch; nothing is held back for one. A lost process is
replaced, ever more slowly while it keeps failing.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import ArenaError, PolicyFailed, Unavailable
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.turns import Job, Turns
from lerobot_arena.inference.worker_client import Answer, Question, WorkerClient, WorkerLost, WorkerOptions

IDLE_CHECK_S = 0.2
MAX_THROWS = 3
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Turn(Protocol):
    """One request of a session with its observation."""

    @property
    def question(self) -> Question:
        """What to ask the policy."""

    def look(self) -> None:
        """What there is to do while the policy computes."""

    def take(self, answer: Answer | PolicyFailed) -> bool:
        """The policy's answer; False when it cannot be used."""


class PolicyUser(Protocol):
    """What a worker does for a session; called on the worker's thread."""

    def on_loaded(self, client: WorkerClient) -> None:
        """A process that can answer is up."""

    def on_lost(self, message: str, *, will_return: bool) -> None:
        """There is no process, and why; `will_return` when another one is being started."""

    def observe(self, job: Job) -> Turn | None:
        """What to ask the policy for this request; None when there is nothing to ask."""


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
        self._turns = Turns()
        self._forgotten: list[str] = []
        self._failures = self._throws = 0
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
            self._turns.add(session_id)

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
            self._turns.leave(session_id)
            self._forgotten.append(session_id)
            return not self._users

    def ask(self, session_id: str, job: Job) -> None:
        """Queue a request; it replaces one of the same session that still waits."""
        with self._wake:
            self._turns.ask(session_id, job)
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
            self._turns.drop()
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
            taken = self._next(client.seats)
            if self._is_closing:
                return
            if not client.is_alive():
                raise WorkerLost(f"The policy's process {client.death()}.")
            for session_id in self._take_forgotten():
                client.forget(session_id)
            if turns := [turn for user, job in taken if (turn := user.observe(job)) is not None]:
                self._serve(turns, client)

    def _serve(self, turns: list[Turn], client: WorkerClient) -> None:
        def meanwhile() -> None:
            for turn in turns:
                turn.look()

        answers = client.infer_together([turn.question for turn in turns], meanwhile=meanwhile)
        served = [turn.take(answer) for turn, answer in zip(turns, answers, strict=True)]
        for is_served in served:
            self._count(is_served)

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

    def _next(self, limit: int) -> list[tuple[PolicyUser, Job]]:
        """The requests whose turn it is; none after a while, to look around."""
        with self._wake:
            self._wake.wait_for(lambda: self._turns or self._is_closing, IDLE_CHECK_S)
            return [(self._users[session_id], job) for session_id, job in self._turns.take(limit)]


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
