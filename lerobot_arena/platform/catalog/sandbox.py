# SPDX-License-Identifier: Apache-2.0
"""Opens foreign files in a process of their own, with limits, and makes of its crash a sentence for the publisher.

The parent passes paths in and a bounded JSON answer out; it reads none of the files. The child starts from nothing: no
environment, no open files, no site packages' start-up code.
"""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lerobot_arena
from lerobot_arena.core.errors import ArenaError, InvalidInput, TooMany, Unavailable
from lerobot_arena.platform.catalog.limits import ChildLimits
from lerobot_arena.platform.storage.blobs import ABANDONED_S

FOLDER_PREFIX = "arena-catalog-"
_CHILD = "lerobot_arena.platform.catalog.child"
_START = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "importlib.import_module(sys.argv[4]).main(int(sys.argv[2]), int(sys.argv[3]))"
)
_CODES: dict[str, type[ArenaError]] = {"unavailable": Unavailable}


class Sandbox:
    """Asks one child process per question, `most_at_once` at a time; safe from any thread."""

    def __init__(
        self, limits: ChildLimits | None = None, *, most_at_once: int = 2, patience_s: float = 60.0
    ) -> None:
        self._limits = limits or ChildLimits()
        self._free = threading.BoundedSemaphore(most_at_once)
        self._patience_s = patience_s
        sweep()

    def ask(self, job: str, question: Mapping[str, Any], *, files: Mapping[str, Path]) -> dict[str, Any]:
        """The answer of `jobs.JOBS[job]`, which sees `files` and a folder that is gone afterwards.

        Raises InvalidInput when it refuses a file, crashes, or takes too long; TooMany when all places are taken;
        Unavailable when this machine lacks a library.
        """
        if not self._free.acquire(timeout=self._patience_s):
            raise TooMany(
                "Too many files are being checked at once; try again in a minute.", self._patience_s
            )
        try:
            with _folder() as folder:
                return self._ask(
                    {
                        "job": job,
                        "question": dict(question),
                        "files": {name: str(path.resolve()) for name, path in files.items()},
                        "folder": str(folder),
                        "limits": asdict(self._limits),
                    },
                    folder,
                )
        finally:
            self._free.release()

    def _ask(self, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
        ours, theirs = os.pipe()
        try:
            try:
                process = start_child(_CHILD, theirs, folder)
            finally:
                os.close(theirs)
            try:
                heard = self._hear(process, ours, json.dumps(asked).encode())
            finally:
                end_child(process)
        finally:
            os.close(ours)
        return _read(heard, process.returncode, self._limits)

    def _hear(self, process: subprocess.Popen[bytes], channel: int, asked: bytes) -> bytes:
        deadline = time.monotonic() + self._limits.wall_s
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(asked)
        heard = b""
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                part = os.read(channel, 1 << 16)
                if not part:
                    _wait(process, deadline)
                    return heard
                heard += part
                if len(heard) > self._limits.answer_bytes:
                    raise InvalidInput("The file makes its check say more than it may.")
        raise InvalidInput(
            f"Checking the file took longer than {self._limits.wall_s:g} s, so it was given up."
        )


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=work_prefix()))
    try:
        yield folder
    finally:
        _remove(folder)


def work_prefix(purpose: str = "") -> str:
    """How a temporary folder's name begins that `sweep` removes when this process was killed."""
    return f"{FOLDER_PREFIX}{os.getpid()}-{purpose}"


def sweep() -> None:
    """Remove the folders of processes that were killed, an hour later: those of another container look the same."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        with suppress(OSError):
            is_old = time.time() - folder.stat().st_mtime > ABANDONED_S
            if pid.isdecimal() and is_old and not Path(f"/proc/{pid}").exists():
                _remove(folder)


def _remove(folder: Path) -> None:
    """Also what the child made unreadable."""

    def insist(function: Any, path: str, _: BaseException) -> None:
        with suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700)
            function(path)

    shutil.rmtree(folder, onexc=insist)
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def start_child(module: str, channel: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start `module.main(channel, our pid)` with nothing of ours but that descriptor; it reads its standard input."""
    root = str(Path(lerobot_arena.__file__).resolve().parents[1])
    path = [
        root,
        *(entry for entry in sys.path if os.path.isabs(entry) and os.path.exists(entry) and entry != root),
    ]
    # -I -S: neither PYTHON* variables nor what .pth files run; the ROS wheels' would start the interpreter anew.
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _START,
        json.dumps(path),
        str(channel),
        str(os.getpid()),
        module,
    ]
    environment = {
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "MUJOCO_GL": "disable",
        **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
    }
    return subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(channel,),
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], deadline: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.1, min(5.0, deadline - time.monotonic())))


def end_child(process: subprocess.Popen[bytes]) -> None:
    """With all it may have started: they are one process group as long as its leader is not reaped."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(heard: bytes, code: int, limits: ChildLimits) -> dict[str, Any]:
    try:
        answer = json.loads(heard)
        if answer["ok"]:
            result = answer["result"]
            return result if isinstance(result, dict) else {}
        kind, said = _CODES.get(answer["code"], InvalidInput), str(answer["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(_death(code, limits)) from None
    raise kind(said)


def _death(code: int, limits: ChildLimits) -> str:
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return (
            f"Checking the file took more than {limits.cpu_s} s of computing, or more memory than there is."
        )
    if code < 0:
        return f"The file crashes what reads it ({signal.Signals(-code).name}); export it again."
    return "The file cannot be read: its check ended without an answer."
