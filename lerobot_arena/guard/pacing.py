# SPDX-License-Identifier: Apache-2.0
"""A fixed rate by absolute deadlines on the steady clock, in a thread of its own."""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lerobot_arena.core.clock import NS

# Another Python thread may hold the interpreter this long before the control thread gets it.
_SWITCH_INTERVAL_S = 0.0001


@dataclass(frozen=True, slots=True)
class Tick:
    """One call of the loop; `is_late`: it came more than one period after its deadline."""

    now_ns: int
    is_late: bool = False
    late_in_row: int = 0


class Deadlines:
    """Where the next tick belongs. Missed ones are skipped, never made up for in a burst."""

    def __init__(self, period_ns: int, start_ns: int) -> None:
        self._period_ns = period_ns
        self.next_ns = start_ns + period_ns
        self._late_in_row = 0

    def reached(self, now_ns: int) -> Tick:
        """The tick that begins now; moves the deadline to the first one still ahead."""
        behind_ns = now_ns - self.next_ns
        is_late = behind_ns > self._period_ns
        self._late_in_row = self._late_in_row + 1 if is_late else 0
        self.next_ns += self._period_ns * (max(0, behind_ns) // self._period_ns + 1)
        return Tick(now_ns, is_late, self._late_in_row)


def set_niceness(niceness: int) -> bool:
    """Give every thread this process has now the priority; later ones inherit it. False when that is not allowed.

    Linux keeps a niceness per thread (setpriority(2)); the threads of DDS exist before any parameter is known.
    """
    try:
        for thread in os.listdir("/proc/self/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), niceness)
    except OSError:
        return False
    return True


class Pacer:
    """Calls `work` every `period_s()` until `end`. `on_death` hears when `work` raised: the loop is over then."""

    def __init__(
        self,
        work: Callable[[Tick], None],
        *,
        period_s: Callable[[], float],
        name: str,
        on_death: Callable[[str], None],
    ) -> None:
        self._work, self._on_death, self._period_s = work, on_death, period_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def begin(self) -> None:
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_INTERVAL_S))
        self._thread.start()

    def end(self) -> None:
        """Stop ticking and wait for the tick under way."""
        self._ending.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        period_s = self._period_s()
        deadlines = Deadlines(round(period_s * NS), time.monotonic_ns())
        try:
            while not self._ending.is_set():
                if self._period_s() != period_s:
                    period_s = self._period_s()
                    deadlines = Deadlines(round(period_s * NS), time.monotonic_ns())
                wait_ns = deadlines.next_ns - time.monotonic_ns()
                if wait_ns > 0:
                    time.sleep(wait_ns / NS)
                self._work(deadlines.reached(time.monotonic_ns()))
        except Exception as error:
            self._on_death(f"The control loop died: {type(error).__name__}: {error}")
            raise
