# SPDX-License-Identifier: Apache-2.0
"""What one session did, counted from the counters of the guards that ran it."""

from dataclasses import dataclass, field

from lerobot_arena.core.session import PAUSED, RUNNING, GuardState


def _grown(before: int, now: int) -> int:
    # A guard counts anew for each session it runs, so a smaller number is a new count.
    return now - before if now >= before else now


@dataclass(slots=True)
class Tally:
    """Counts since the bridge first saw the session. A guard counts per arm and starts again with its process."""

    commands_sent: int = 0
    cycles: int = 0
    late_cycles: int = 0
    holds: int = 0
    chunks_received: int = 0
    chunks_dropped: int = 0
    decisions: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def add(self, before: GuardState | None, now: GuardState) -> None:
        """Count what happened between two states of the same guard while it ran this session."""
        is_moving = {RUNNING, PAUSED}
        if before is None or not ({before.state, now.state} & is_moving):
            return
        if before.boot_id != now.boot_id:
            before = GuardState(now.arm)
        self.commands_sent += _grown(before.commands_sent, now.commands_sent)
        self.cycles += _grown(before.cycle_count, now.cycle_count)
        self.late_cycles += _grown(before.late_cycles, now.late_cycles)
        self.holds += _grown(before.holds, now.holds)
        self.chunks_received += _grown(before.chunks_received, now.chunks_received)
        self.chunks_dropped += _grown(before.chunks_dropped, now.chunks_dropped)
        for index in range(len(self.decisions)):
            self.decisions[index] += _grown(before.decisions[index], now.decisions[index])
