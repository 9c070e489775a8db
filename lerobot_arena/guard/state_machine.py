# SPDX-License-Identifier: Apache-2.0
"""States of one arm's guard over one lock: idle, running, stopped, emergency.

The last look at the state and the sending of a command happen under the same lock, so that once `stop` or `estop`
has returned, no command can follow. Epochs grow over restarts; whatever carries another one is not of this run.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.session import EMERGENCY, IDLE, RUNNING, STOPPED


@dataclass(frozen=True, slots=True)
class Status[R]:
    """A consistent view; `run` is what `start` began, and stays readable after it ended.

    `run_was_cut`: the e-stop that is latched now ended a run.
    """

    state: str = IDLE
    epoch: int = 0
    message: str = ""
    run: R | None = None
    run_was_cut: bool = False

    @property
    def is_latched(self) -> bool:
        return self.state == EMERGENCY


class StateMachine[R]:
    """`next_epoch` gives a number higher than any this arm ever used."""

    def __init__(self, next_epoch: Callable[[], int]) -> None:
        self._next_epoch = next_epoch
        self._lock = threading.Lock()
        self._status: Status[R] = Status()

    @property
    def status(self) -> Status[R]:
        return self._status

    def start(self, reasons: Sequence[str], begin: Callable[[int], R]) -> Status[R]:
        """Open a new epoch with what `begin(epoch)` builds.

        Raises Conflict while latched, while running, or for any of `reasons`; whatever it or `begin` raises leaves the
        state as it was.
        """
        with self._lock:
            old = self._status
            if old.is_latched:
                raise Conflict(f"The e-stop is latched: reset it first. {old.message}")
            if old.state == RUNNING:
                raise Conflict("This arm is already running: stop it first.")
            if reasons:
                raise Conflict(" ".join(reasons))
            epoch = self._next_epoch()
            self._status = Status(RUNNING, epoch, "", begin(epoch))
            return self._status

    def stop(self, message: str = "", *, epoch: int | None = None) -> bool:
        """End a run; with `epoch` only that one. False when there was nothing to end."""
        with self._lock:
            old = self._status
            if old.state != RUNNING or epoch not in {None, old.epoch}:
                return False
            self._status = Status(STOPPED, old.epoch, message, old.run)
            return True

    def estop(self, message: str) -> bool:
        """Latch from any state. False when it was latched already; the first message stays."""
        with self._lock:
            old = self._status
            if old.is_latched:
                return False
            self._status = Status(EMERGENCY, old.epoch, message, old.run, old.state == RUNNING)
            return True

    def reset(self, message: str) -> None:
        """Leave the emergency, disarmed. Raises Conflict when there is none."""
        with self._lock:
            old = self._status
            if not old.is_latched:
                raise Conflict("The e-stop is not latched: there is nothing to reset.")
            self._status = Status(STOPPED, old.epoch, message, old.run)

    def commit(self, epoch: int, send: Callable[[], None]) -> bool:
        """Send a command of this epoch unless its run has ended; the only way a command leaves."""
        with self._lock:
            if self._status.state != RUNNING or self._status.epoch != epoch:
                return False
            send()
            return True
