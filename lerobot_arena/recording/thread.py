# SPDX-License-Identifier: Apache-2.0
"""The thread that does a recorder's slow work, and how others ask it for something."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from lerobot_arena.core.errors import ArenaError, NotAnswering
from lerobot_arena.recording.recorder import Recorder
from lerobot_arena.recording.repair import repair_all
from lerobot_arena.recording.status import WARN, RecorderStatus

_WAIT_S = 0.05
_STATUS_EVERY = 4  # waits

# Packing pictures and chunks gives way to control on a busy machine.
_NICENESS, _REPAIR_NICENESS = 5, 15


def _give_way(niceness: int) -> None:
    """Lower this thread's priority; Linux has one per thread."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


class RecorderThread:
    """Owns the recorder but for `take`. `on_death` hears when the thread ends without being asked."""

    def __init__(self, recorder: Recorder, on_death: Callable[[str], None]) -> None:
        self._recorder, self._on_death = recorder, on_death
        self._asked: deque[tuple[Callable[[], str], Future[str]]] = deque()
        self._ending = threading.Event()
        self.status: RecorderStatus = recorder.status()
        self._repaired: Future[list[str]] | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def begin(self) -> None:
        """Start working; what a crash left is repaired beside it."""
        self._repaired = Future()
        threading.Thread(target=self._repair, args=(self._repaired,), name="repair", daemon=True).start()
        self._thread.start()

    def _repair(self, told: "Future[list[str]]") -> None:
        _give_way(_REPAIR_NICENESS)
        try:
            told.set_result([str(repair) for repair in repair_all(Path(self._recorder.root))])
        except (OSError, ArenaError) as error:
            told.set_result([f"Recordings of an earlier run could not be repaired: {error}"])

    def call(self, verb: Callable[[], str], timeout_s: float) -> str:
        """Run a verb of the recorder in its thread. Raises what it raises, NotAnswering after `timeout_s`."""
        answer: Future[str] = Future()
        self._asked.append((verb, answer))
        self._recorder.queue.nudge()
        try:
            return answer.result(timeout_s)
        except TimeoutError as error:
            answer.cancel()  # what nobody waits for any more is not done later by surprise
            raise NotAnswering(
                f"The disk has not answered for {timeout_s:g} s; the recorder goes on trying. Control is not affected."
            ) from error

    def end(self, timeout_s: float) -> None:
        """End the recording, if any, and the thread."""
        self._ending.set()
        self._recorder.queue.nudge()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        _give_way(_NICENESS)
        try:
            while not self._ending.is_set():
                self._round()
            if self._recorder.is_recording:
                self._recorder.stop("shutdown")
        except ArenaError:
            pass  # said in the events
        except BaseException as error:
            self._on_death(f"The recorder's thread died: {type(error).__name__}: {error}")
            raise
        self.status = self._recorder.status()

    def _round(self) -> None:
        for _ in range(_STATUS_EVERY):
            while self._asked:
                self._answer(*self._asked.popleft())
            if not self._recorder.step():
                self._recorder.queue.wait(_WAIT_S)
        if self._repaired is not None and self._repaired.done():
            for text in self._repaired.result():
                self._recorder.say(WARN, text)
            self._repaired = None
        self.status = self._recorder.status()

    def _answer(self, verb: Callable[[], str], answer: "Future[str]") -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(verb())
        except ArenaError as error:
            answer.set_exception(error)
        self.status = self._recorder.status()
