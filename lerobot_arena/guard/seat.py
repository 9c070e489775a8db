# SPDX-License-Identifier: Apache-2.0
"""A check in its place in a chain: under which name and layer it speaks, and what is done when it objects."""

from dataclasses import dataclass, field

from lerobot_arena.core.reaction import HOLD, SLOW_DOWN
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import Check, CheckInput, Finding, Phase


@dataclass(frozen=True, slots=True)
class Trigger:
    """An objection that asks for a reaction; `decision` is the check's own, before a debounce or a slow-down."""

    name: str
    check: str
    decision: Decision
    reaction: str
    reason: str
    is_latching: bool = False
    hold_at_measured: bool = False


@dataclass(slots=True)
class Seat:
    """One check of a chain.

    The first `warn_frames - 1` objections in a row are warnings. Active for longer than `timeout_s` is a REJECT.
    """

    check: Check
    name: str
    layer: str
    reaction: str = HOLD
    warn_frames: int = 1
    timeout_s: float = 0.0
    is_mandatory: bool = False
    _in_row: int = field(default=0, init=False)
    _active_since_s: float | None = field(default=None, init=False)

    @property
    def phase(self) -> Phase:
        return self.check.phase

    def examine(self, given: CheckInput) -> Finding:
        """The check's answer, or that its time is over."""
        if self.timeout_s:
            if self._active_since_s is None:
                self._active_since_s = given.run_s
            active_s = given.run_s - self._active_since_s
            if active_s > self.timeout_s:
                return Finding(
                    Decision.REJECT,
                    f"{self.name} has been active for {active_s:.1f} s of running time; "
                    f"{self.timeout_s:g} s are allowed.",
                )
        return self.check.examine(given)

    def judge(self, finding: Finding) -> tuple[Finding, Trigger | None]:
        """What an answer means here: debounced, or answered by going slower, and what it asks for."""
        if finding.decision <= Decision.CLAMP:
            self._in_row = 0
            return finding, None
        self._in_row += 1
        if self._in_row < self.warn_frames:
            warning = f"Warning {self._in_row} of {self.warn_frames}: {finding.reason}"
            return Finding(Decision.CLAMP, warning), None
        # Going slower answers too much of something. A sensor that is gone or a limit that is passed is no such thing.
        is_slowing = self.reaction == SLOW_DOWN and finding.decision == Decision.REJECT
        trigger = Trigger(
            self.name,
            self.check.name,
            finding.decision,
            self.check.reaction if self.reaction == SLOW_DOWN and not is_slowing else self.reaction,
            finding.reason,
            self.check.escalates_to_emergency and finding.decision == Decision.FAULT,
            finding.hold_at_measured,
        )
        if is_slowing:
            return Finding(Decision.CLAMP, f"Slower: {finding.reason}"), trigger
        return finding, trigger

    def enter(self) -> None:
        """It becomes active again: what it counted is over."""
        self._in_row, self._active_since_s = 0, None


def core_seat(check: Check, *, is_mandatory: bool = False) -> Seat:
    """A check that is always there, under its own name and layer."""
    return Seat(check, check.name, check.layer, check.reaction, is_mandatory=is_mandatory)
