# SPDX-License-Identifier: Apache-2.0
"""The parent's end of one worker process: start, ask with a deadline, kill. Used by one thread at a time."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import PolicyError, PolicyFailed
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput, default_threads
from lerobot_arena.inference.policies.table import batch_limit
from lerobot_arena.inference.wire import ObservationMemory, receive, send


class WorkerLost(PolicyFailed):
    """The process is gone: it was killed, ended, or hung and had to be killed. It needs replacing."""

    code = "policy_failed"


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How workers are run; `threads` 0 lets the worker use all cores but one, `max_batch` 1 asks one session at a time.

    `infer_timeout_s` is for one answer; several that are computed together have as much time as one after the other.
    """

    device: str = "cpu"
    threads: int = 0
    nice: int = 5
    load_timeout_s: float = 180.0
    infer_timeout_s: float = 5.0
    max_batch: int = 8
    record_dir: str = ""
    warm_up: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """What a session asks; `history` is oldest first, newest last."""

    session: str
    history: Sequence[PolicyInput]
    task: str = ""
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A chunk, H×D, and the durations of its stages in ms."""

    chunk: FloatArray
    stage_ms: Mapping[str, float]


class WorkerClient:
    """One child process with one loaded policy.

    The thread that starts it must outlive it: the kernel kills the child when that thread ends.
    """

    def __init__(self, manifest: PolicyManifest, options: WorkerOptions) -> None:
        self._options = options
        self.seats = min(options.max_batch, batch_limit(manifest))
        self._memory = ObservationMemory(manifest, seats=self.seats)
        self.device = ""
        self.sha256 = ""
        ours, theirs = socket.socketpair()
        self._channel = ours
        try:
            label = f"{manifest.policy_type}:{Path(manifest.path) / manifest.weights}"
            self._process = self._spawn(theirs, label)
        except BaseException:
            self.kill()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _spawn(self, channel: socket.socket, label: str) -> subprocess.Popen[bytes]:
        threads = str(self._threads)
        environment = {
            # What the parent knows of databases and logins is none of a policy's business.
            **{name: value for name, value in os.environ.items() if not name.startswith("ARENA_")},
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            # transformers copies a checkpoint's own code there before it runs it; this can't be a folder.
            "HF_MODULES_CACHE": "/dev/null/code-of-a-checkpoint-is-not-run",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
        }
        command = [sys.executable, "-m", "lerobot_arena.inference.worker"]
        command += [str(channel.fileno()), str(os.getpid()), label]  # the label is for whoever reads `ps`
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=2,  # what libraries print belongs into the log, not into somebody's pipe
            pass_fds=(channel.fileno(), self._memory.fd),
            start_new_session=True,
        )

    @property
    def _threads(self) -> int:
        return self._options.threads or default_threads()

    def load(self, manifest: PolicyManifest) -> None:
        """Load the policy there. Raises PolicyError when it cannot be used, WorkerLost when the process is no more."""
        answer = self._ask(
            {
                "op": "load",
                "manifest": manifest.to_json(),
                "memory_fd": self._memory.fd,
                "seats": self.seats,
                "device": self._options.device,
                "threads": self._threads,
                "nice": self._options.nice,
                "record_dir": self._options.record_dir,
                "warm_up": self._options.warm_up,
            },
            self._options.load_timeout_s,
            "loading",
        )
        if not answer["ok"]:
            said = str(answer["error"])
            raise PolicyError(said if answer["code"] != "error" else f"The policy cannot be loaded: {said}")
        self.device, self.sha256 = answer["device"], answer["sha256"]

    def infer(
        self,
        session: str,
        history: Sequence[PolicyInput],
        *,
        task: str = "",
        reset: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Ask for a chunk, and call `meanwhile` here while the process computes it.

        Raises PolicyFailed when the policy threw, WorkerLost when the process is no more.
        """
        question = Question(session, history, task, reset)
        (answer,) = self.infer_together([question], meanwhile=meanwhile)
        if isinstance(answer, PolicyFailed):
            raise answer
        return answer

    def infer_together(
        self, questions: Sequence[Question], *, meanwhile: Callable[[], None] = lambda: None
    ) -> list[Answer | PolicyFailed]:
        """Ask for the chunks of up to `seats` different sessions at once; each gets its own answer, in order.

        Calls `meanwhile` here while the process computes. Raises WorkerLost when the process is no more.
        """
        copied_ms = [self._write(seat, question) for seat, question in enumerate(questions)]
        items = [
            {"session": q.session, "task": q.task, "reset": q.reset, "times_s": [i.time_s for i in q.history]}
            for q in questions
        ]
        timeout_s = self._options.infer_timeout_s * len(questions)
        self._tell({"op": "infer", "items": items}, timeout_s, "computing")
        try:
            meanwhile()
        finally:  # an answer left in the channel would be taken for that to the next question
            told = self._hear(timeout_s, "computing")
        if not told["ok"]:  # the process itself failed, so nobody has an answer
            return [PolicyFailed(f"The policy failed: {told['error']}") for _ in questions]
        return [
            self._read(seat, answer, copied)
            for seat, (answer, copied) in enumerate(zip(told["answers"], copied_ms, strict=True))
        ]

    def _write(self, seat: int, question: Question) -> float:
        started = time.perf_counter()
        self._memory.write(question.history, seat=seat)
        return (time.perf_counter() - started) * 1e3

    def _read(self, seat: int, answer: dict[str, Any], copied_ms: float) -> Answer | PolicyFailed:
        if not answer["ok"]:
            return PolicyFailed(f"The policy failed: {answer['error']}")
        chunk = self._memory.read_chunk(int(answer["steps"]), seat=seat)
        return Answer(chunk, {"copy": copied_ms, **answer["stage_ms"]})

    def forget(self, session: str) -> None:
        """Drop what the worker keeps for a session."""
        try:
            send(self._channel, {"op": "forget", "session": session})
        except OSError as error:
            raise self._lost("was told to forget a session", error) from error

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def death(self) -> str:
        """How the process ended, for a person."""
        code = self._process.poll()
        if code is None:
            return "is still running"
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"was ended by {name}{hint}"
        return f"ended with exit code {code}"

    def _ask(self, message: dict[str, object], timeout_s: float, doing: str) -> dict[str, Any]:
        self._tell(message, timeout_s, doing)
        return self._hear(timeout_s, doing)

    def _tell(self, message: dict[str, object], timeout_s: float, doing: str) -> None:
        self._channel.settimeout(timeout_s)
        with self._watched(timeout_s, doing):
            send(self._channel, message)

    def _hear(self, timeout_s: float, doing: str) -> dict[str, Any]:
        with self._watched(timeout_s, doing):
            return receive(self._channel)

    @contextmanager
    def _watched(self, timeout_s: float, doing: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self.kill()
            raise WorkerLost(
                f"The policy hung: no answer within {timeout_s:g} s while {doing}, so its process was killed."
            ) from error
        except (OSError, EOFError, ValueError) as error:
            raise self._lost(f"while {doing}", error) from error

    def _lost(self, when: str, error: Exception) -> WorkerLost:
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
        return WorkerLost(f"The policy's process {self.death()} {when}.")

    def kill_process(self) -> None:
        """End the process at once; safe from any thread. A waiting `infer` then raises WorkerLost."""
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            process.kill()

    def kill(self) -> None:
        """End the process at once and free its memory. May be called again."""
        self.kill_process()
        if hasattr(self, "_process"):
            self._process.wait()
        if self._channel.fileno() >= 0:
            self._channel.close()
            self._memory.close()
