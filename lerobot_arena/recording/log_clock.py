# SPDX-License-Identifier: Apache-2.0
"""Wall time for a recording: as the machine's clock says, but it never runs backwards."""

from lerobot_arena.core.clock import NS, Clock

_JUMP_NS = NS // 2


class LogClock:
    """Stamps messages. When the wall clock is set back, stamps go on from where they were."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.last_ns = 0
        self._last_wall_ns, self._last_steady_ns = clock.wall_ns(), clock.steady_ns()
        self.jumps = 0

    def stamp_ns(self) -> int:
        """The next stamp: at least the latest one."""
        wall_ns, steady_ns = self._clock.wall_ns(), self._clock.steady_ns()
        passed_ns = steady_ns - self._last_steady_ns
        if abs(wall_ns - self._last_wall_ns - passed_ns) > _JUMP_NS:
            self.jumps += 1
        if wall_ns < self.last_ns:
            self.last_ns += max(passed_ns, 0)
        else:
            self.last_ns = wall_ns
        self._last_wall_ns, self._last_steady_ns = wall_ns, steady_ns
        return self.last_ns
