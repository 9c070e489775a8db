# SPDX-License-Identifier: Apache-2.0
"""The inference process without ROS: sessions reconciled towards what is wanted, requests handed to their policies."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.errors import ArenaError, Conflict
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import SessionsStatus, SessionsWanted, SessionWanted
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.params import InferenceParams
from lerobot_arena.inference.pool import PolicyWorker, WorkerPool
from lerobot_arena.inference.session import Session
from lerobot_arena.inference.turns import Job


class Engine:
    """All sessions of the process. Its methods are quick and may be called from any thread.

    `publish` gets each chunk on a worker thread; `on_change` is called when a status changed, `on_fault` with what
    only a log can take.
    """

    def __init__(
        self,
        params: InferenceParams,
        clock: Clock,
        *,
        publish: Callable[[ActionChunk], None],
        on_change: Callable[[], None],
        on_fault: Callable[[str], None],
    ) -> None:
        self._params, self._clock = params, clock
        self._publish, self._on_change, self._on_fault = publish, on_change, on_fault
        self.boot_id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._generation = 0
        self._sessions: dict[str, Session] = {}
        self._workers: dict[str, PolicyWorker] = {}
        self._pool = WorkerPool(params.worker_options(), clock, on_fault=on_fault)
        # Reads files, which may lie on a slow network drive; the spin thread must not wait for them.
        self._loader = ThreadPoolExecutor(max_workers=2, thread_name_prefix="policy-loader")

    def session(self, session_id: str) -> Session | None:
        """The session of that id."""
        return self._sessions.get(session_id)

    def reconcile(self, wanted: SessionsWanted) -> None:
        """Create what is new, end what is no longer wanted, renew what changed; a selection changes nothing here."""
        asked = {item.session_id: replace(item, is_selected=False) for item in wanted.sessions}
        with self._lock:
            self._generation = wanted.generation
            ended = [s for s in self._sessions.values() if asked.get(s.session_id) != s.wanted]
            for session in ended:
                session.close()
                del self._sessions[session.session_id]
                self._workers.pop(session.session_id, None)
            new = [item for item in asked.values() if item.session_id not in self._sessions]
            created = [self._create(item) for item in new]
        for session in ended:
            self._loader.submit(self._guarded, self._pool.leave, session.key)
        for session in created:
            self._loader.submit(self._guarded, self._load, session)
        self._on_change()

    def _create(self, wanted: SessionWanted) -> Session:
        session = Session(wanted, clock=self._clock, publish=self._publish, on_change=self._on_change)
        self._sessions[wanted.session_id] = session
        return session

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception as error:  # a future nobody looks at would swallow it
            self._on_fault(f"{work.__name__} failed: {type(error).__name__}: {error}")

    def _load(self, session: Session) -> None:
        wanted = session.wanted
        try:
            self._check_room(session)
            robot = self._robot_of(wanted)
            manifest = inspect_policy(wanted.policy_path, wanted=wanted, robot=robot)
            session.prepare(manifest, self._params.sync_rules(is_virtual=wanted.is_virtual), robot)
            worker = self._pool.join(session.key, manifest, session)
        except ArenaError as error:
            session.fail_to_load(str(error))
            return
        except Exception as error:  # the session must not stay initializing for ever
            session.fail_to_load(f"The policy could not be inspected: {type(error).__name__}: {error}")
            raise
        with self._lock:
            is_wanted = self._sessions.get(wanted.session_id) is session
            if is_wanted:
                self._workers[wanted.session_id] = worker
        if not is_wanted:
            self._pool.leave(session.key)

    def _check_room(self, session: Session) -> None:
        with self._lock:
            ahead = [
                other for other in self._sessions.values() if not other.is_refused and other is not session
            ]
        if len(ahead) >= self._params.max_sessions:
            session.is_refused = True
            raise Conflict(
                f"{len(ahead)} sessions are served already: delete one and create this one again, or raise the "
                "inference node's max_sessions."
            )

    def _robot_of(self, wanted: SessionWanted) -> RobotSpec | None:
        return None if wanted.is_virtual else load_robot(self._params.robot_of(wanted.arm))

    def request(self, request: ChunkRequest) -> None:
        """The guard asks for a chunk; the answer comes through `publish`, or not at all and the status says why."""
        session = self._sessions.get(request.session_id)
        if session is None or not session.begin(request.reset):
            return
        worker = self._workers.get(request.session_id)
        if worker is not None:
            worker.ask(session.key, Job(request, self._clock.steady_ns()))

    def status(self) -> SessionsStatus:
        """All sessions as they are now."""
        with self._lock:
            sessions, generation = list(self._sessions.values()), self._generation
        return SessionsStatus(generation, self.boot_id, tuple(session.status() for session in sessions))

    def close(self) -> None:
        """End all policies."""
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
            self._workers.clear()
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._pool.close()
