# SPDX-License-Identifier: Apache-2.0
"""How long a run may hold before it is stopped, and what its owner is told then."""

from dataclasses import dataclass

from lerobot_arena.core.clock import seconds_between


@dataclass(slots=True)
class HoldWatch:
    """Of one run. A hold ends by itself within `grace_s`; a start may wait `first_chunk_s` for its first action."""

    grace_s: float
    first_chunk_s: float
    nonfinite_limit: int
    _held_since_ns: int | None = None
    _was_waiting: bool = False
    _nonfinite_in_row: int = 0

    def went_on(self) -> None:
        """A command left."""
        self._held_since_ns = None
        self._nonfinite_in_row = 0

    def held(self, now_ns: int, reason: str, *, is_waiting: bool, is_nonfinite: bool) -> str:
        """A cycle sent nothing because of `reason`. Returns why the run has to stop now, or nothing."""
        if self._held_since_ns is None or is_waiting != self._was_waiting:
            self._held_since_ns = now_ns
        self._was_waiting = is_waiting
        self._nonfinite_in_row = self._nonfinite_in_row + 1 if is_nonfinite else 0
        if self._nonfinite_in_row >= self.nonfinite_limit:
            return (
                f"{self._nonfinite_in_row} actions in a row were not finite. {reason} "
                "Check the policy, then start again."
            )
        held_s = seconds_between(self._held_since_ns, now_ns)
        if held_s < (self.first_chunk_s if is_waiting else self.grace_s):
            return ""
        return f"Stopped after holding for {held_s:.1f} s. {reason} Start again when that is solved."
