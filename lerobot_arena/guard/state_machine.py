# SPDX-License-Identifier: Apache-2.0
"""States of one arm's guard over one lock: idle, running, paused, stopped, emergency.

The last look at the state and the sending of a command happen under the same lock, so that once `stop`, `pause` or
`estop` has returned, no command can follow. Epochs grow over restarts; whatever carries another one is not of this run.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.session import EMERGENCY, IDLE, PAUSED, RUNNING, STOPPED


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

    @property
    def is_under_way(self) -> bool:
        """Running, or paused and able to go on."""
        return self.state in {RUNNING, PAUSED}


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

        Raises Conflict while latched, running or paused, or for any of `reasons`; whatever it or `begin` raises leaves
        the state as it was.
        """
        with self._lock:
            old = self._status
            self._refuse_while_latched(old)
            if old.state == RUNNING:
                raise Conflict("This arm is already running: stop it first.")
            if old.state == PAUSED:
                raise Conflict("This arm is paused: resume it, or stop it first.")
            return self._go(reasons, begin)

    def resume(self, reasons: Sequence[str], begin: Callable[[int], R]) -> Status[R]:
        """Go on after a pause, in a new epoch. Raises Conflict when nothing is paused, or for any of `reasons`."""
        with self._lock:
            old = self._status
            self._refuse_while_latched(old)
            if old.state != PAUSED:
                raise Conflict(f"Only a paused arm can be resumed; this one is {old.state}.")
            return self._go(reasons, begin)

    def _go(self, reasons: Sequence[str], begin: Callable[[int], R]) -> Status[R]:
        if reasons:
            raise Conflict(" ".join(reasons))
        epoch = self._next_epoch()
        self._status = Status(RUNNING, epoch, "", begin(epoch))
        return self._status

    @staticmethod
    def _refuse_while_latched(old: Status[R]) -> None:
        if old.is_latched:
            raise Conflict(f"The e-stop is latched: reset it first. {old.message}")

    def pause(self, message: str) -> bool:
        """No command follows until `resume`. False when it was paused; raises Conflict when nothing runs."""
        with self._lock:
            old = self._status
            if old.state == PAUSED:
                return False
            if old.state != RUNNING:
                raise Conflict(f"Only a running arm can be paused; this one is {old.state}.")
            self._status = Status(PAUSED, old.epoch, message, old.run)
            return True

    def stop(self, message: str = "", *, epoch: int | None = None) -> bool:
        """End a run; with `epoch` only that one. False when there was nothing to end."""
        with self._lock:
            old = self._status
            if not old.is_under_way or epoch not in {None, old.epoch}:
                return False
            self._status = Status(STOPPED, old.epoch, message, old.run)
            return True

    def estop(self, message: str, *, epoch: int | None = None) -> bool:
        """Latch from any state; with `epoch` only while that run is on. False when it was latched already."""
        with self._lock:
            old = self._status
            if old.is_latched or (epoch is not None and (epoch != old.epoch or not old.is_under_way)):
                return False
            self._status = Status(EMERGENCY, old.epoch, message, old.run, old.is_under_way)
            return True

    def reset(self, message: str, causes: Sequence[str] = ()) -> None:
        """From emergency or stopped to idle, disarmed; `message` stays readable.

        Raises Conflict while a run is under way, and while a cause of the emergency persists.
        """
        with self._lock:
            old = self._status
            if old.is_under_way:
                raise Conflict(
                    f"This arm is {old.state}, and its e-stop is not latched: there is nothing to reset."
                )
            if old.is_latched and causes:
                raise Conflict(" ".join(causes))
            self._status = Status(IDLE, old.epoch, message, old.run)

    def commit(self, epoch: int, send: Callable[[], None]) -> bool:
        """Send a command of this epoch unless its run has ended; the only way a command leaves."""
        with self._lock:
            if self._status.state != RUNNING or self._status.epoch != epoch:
                return False
            send()
            return True
