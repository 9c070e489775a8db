# SPDX-License-Identifier: Apache-2.0
"""The child process of one loaded policy: it can be killed at any moment without harm to anybody else.

`python -m lerobot_arena.inference.worker <socket fd> <parent pid> <label>`. Messages are answered one by one, in order:
load (first), infer, forget. It ends when its parent does.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.ids import escape
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import (
    BatchedModel,
    LoadedModel,
    LoadOptions,
    Policy,
    PolicyInput,
)
from lerobot_arena.inference.policies.table import POLICIES
from lerobot_arena.inference.policies.together import attempt, infer_together
from lerobot_arena.inference.weights import file_sha256
from lerobot_arena.inference.wire import ObservationMemory, receive, send

_PR_SET_PDEATHSIG = 1
RECORDINGS_KEPT = 1000
WITHOUT_NETWORK = ("hold", "replay")


def main(arguments: list[str]) -> int:
    """Serve the socket until it closes."""
    parent = int(arguments[1])
    _die_with(parent)
    channel = socket.socket(fileno=int(arguments[0]))
    try:
        Worker(channel).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return 0  # the parent is gone or has closed: nothing is left to do
    return 0


def _die_with(parent: int) -> None:
    """SIGKILL when the parent's spawning thread ends, whatever this process is busy with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the parent's business
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is already gone")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Worker:
    """The loaded model and what each session keeps in it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._policies: dict[str, Policy] = {}
        self._recorded = 0

    def serve(self) -> None:
        """Answer messages until the parent closes. Raises EOFError then."""
        self._answer(self._load, receive(self._channel))
        while True:
            message = receive(self._channel)
            if message["op"] == "forget":
                self._policies.pop(message["session"], None)
            else:
                self._answer(self._infer, message)

    def _answer(self, work: Any, message: dict[str, Any]) -> None:
        done = attempt(work, message)
        send(self._channel, _failure(done) if isinstance(done, Exception) else {"ok": True, **done})

    def _load(self, message: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        manifest = PolicyManifest.from_json(message["manifest"])
        self._manifest = manifest
        self._record_dir = Path(message["record_dir"]) if message["record_dir"] else None
        self._memory = ObservationMemory(manifest, message["memory_fd"], seats=message["seats"])
        self._seats = int(message["seats"])
        os.nice(int(message["nice"]))
        options = LoadOptions(message["device"], message["threads"])
        self._model: LoadedModel = POLICIES.load(manifest.kind)(manifest, options)
        sha256 = ""
        if manifest.weights:
            sha256 = file_sha256(Path(manifest.path) / manifest.weights)
        if manifest.sha256 and manifest.sha256 != sha256:
            raise ArenaError(
                f"The weights {manifest.weights} in {manifest.path} are not those its manifest describes (sha256 "
                f"{sha256[:12]}…, not {manifest.sha256[:12]}…): export or download the policy again."
            )
        if message["warm_up"] and manifest.kind not in WITHOUT_NETWORK:
            self._warm_up()
        return {"device": self._model.device, "sha256": sha256, "load_s": time.perf_counter() - started}

    def _warm_up(self) -> None:
        """The first call of a network allocates and tunes; it must not be a robot's."""
        blank = PolicyInput(
            np.zeros(len(self._manifest.state_names)),
            {c.name: np.zeros((c.height, c.width, 3), np.uint8) for c in self._manifest.cameras},
            "warm up" if self._manifest.takes_task else "",
        )
        history = [blank] * self._manifest.n_obs_steps
        policies = [self._model.open() for _ in range(self._seats)]
        for size in sorted({1, self._seats}):
            for policy in policies[:size]:
                policy.reset()
            for answer in self._compute([(policy, history) for policy in policies[:size]]):
                if isinstance(answer, Exception):
                    raise answer
        policies[0].reset()  # it may share what it keeps with the sessions' own

    def _infer(self, message: dict[str, Any]) -> dict[str, Any]:
        """One answer for each item, in order: items are of different sessions, and fail each for itself."""
        turns = [attempt(self._turn, item, seat) for seat, item in enumerate(message["items"])]
        sound = [seat for seat, turn in enumerate(turns) if not isinstance(turn, Exception)]
        computed = dict(zip(sound, self._compute([turns[seat] for seat in sound]), strict=True))
        answers = []
        for seat, turn in enumerate(turns):
            told = computed.get(seat, turn)
            if not isinstance(told, Exception):
                told = attempt(self._tell, turn[0], told, seat)
            answers.append(_failure(told) if isinstance(told, Exception) else told)
        return {"answers": answers}

    def _turn(self, item: dict[str, Any], seat: int) -> tuple[Policy, list[PolicyInput]]:
        session = item["session"]
        policy = self._policies.get(session)
        is_new = policy is None
        if policy is None:
            policy = self._policies[session] = self._model.open()
        if is_new or item["reset"]:
            policy.reset()
        history = self._memory.read(item["task"], item["times_s"], seat=seat)
        if self._record_dir is not None:
            self._record(session, history[-1])
        return policy, history

    def _compute(self, turns: list[tuple[Any, list[PolicyInput]]]) -> list[Any]:
        """Chunks, or what the policy threw; together where it takes a batch."""
        if len(turns) > 1:
            return infer_together(cast(BatchedModel, self._model), turns)
        return [attempt(policy.infer, history) for policy, history in turns]

    def _tell(self, policy: Policy, actions: Any, seat: int) -> dict[str, Any]:
        chunk = np.asarray(actions, dtype=np.float64)
        self._memory.write_chunk(chunk, seat=seat)
        return {"ok": True, "steps": int(chunk.shape[0]), "stage_ms": dict(policy.stage_ms)}

    def _record(self, session: str, item: PolicyInput) -> None:
        """What the policy was given, as npz: `state` and one array per camera. Oldest files are overwritten."""
        assert self._record_dir is not None
        self._record_dir.mkdir(parents=True, exist_ok=True)
        session_id = session.rpartition("/")[0] or session
        name = f"{escape(session_id)}-{os.getpid()}-{self._recorded % RECORDINGS_KEPT:04d}.npz"
        self._recorded += 1
        target = self._record_dir / name
        with target.with_suffix(".part").open("wb") as file:
            arrays: dict[str, Any] = {f"frame_{key}": value for key, value in item.frames.items()}
            np.savez(file, state=item.state, **arrays)
        target.with_suffix(".part").replace(target)


def _failure(error: Exception) -> dict[str, Any]:
    """For the process that asked, which decides what it means."""
    if isinstance(error, ArenaError):
        return {"ok": False, "error": str(error), "code": error.code}
    return {"ok": False, "error": f"{type(error).__name__}: {error}"[:2000], "code": "error"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
