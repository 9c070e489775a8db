# SPDX-License-Identifier: Apache-2.0
"""What one run does about objections: slow down, go back, hold, stop, latch; and how each grows into the next.

A hold ends by itself as soon as nothing objects; one that lasts becomes a stop, or an e-stop when the objecting check
says so. Slowing down ends after a time without objection; one that lasts becomes a hold. A retreat always ends in a
stop, because nobody knows whether going on is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.reaction import EMERGENCY_STOP, HOLD, NONE, RETREAT, SEVERITY, SLOW_DOWN, STOP
from lerobot_arena.guard.checks.finite import Finite
from lerobot_arena.guard.seat import Trigger


@dataclass(frozen=True, slots=True)
class ReactionRules:
    """Times in s; `slow_factor` is the share of the speed limits that slowing down leaves."""

    hold_grace_s: float = 1.0
    first_chunk_s: float = 10.0
    nonfinite_limit: int = 5
    slow_factor: float = 0.5
    slow_release_s: float = 1.0
    slow_limit_s: float = 30.0
    retreat_s: float = 3.0
    may_latch: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """For the record: `kind` is enter, exit, preempt or escalate."""

    kind: str
    reaction: str
    reason: str

    @property
    def severity(self) -> int:
        return SEVERITY[self.reaction]


@dataclass(frozen=True, slots=True)
class Answer:
    """What this cycle has to do, and what follows from it."""

    may_send: bool
    reaction: str = NONE
    stop_because: str = ""
    emergency_because: str = ""
    hold_at_measured: bool = False
    changes: tuple[Change, ...] = ()


class Reactions:
    """Of one run, from its control thread. `speed` and `excused` are for the cycle to come."""

    def __init__(self, rules: ReactionRules) -> None:
        self._rules = rules
        self._held_since_ns: int | None = None
        self._was_waiting = False
        self._nonfinite_in_row = 0
        self._slow_since_ns: int | None = None
        self._slow_seen_ns = 0
        self._retreat_since_ns: int | None = None
        self._retreat_because = ""
        self._current = NONE
        self._is_pulled_back = False
        self.excused: frozenset[str] = frozenset()

    @property
    def is_retreating(self) -> bool:
        return self._retreat_since_ns is not None

    @property
    def speed(self) -> float:
        """Share of the speed limits the next cycle may use."""
        slow = self._slow_since_ns is not None or self.is_retreating
        return self._rules.slow_factor if slow else 1.0

    def look(
        self,
        now_ns: int,
        triggers: Sequence[Trigger],
        *,
        is_free: bool,
        is_waiting: bool,
        reason: str,
        path_is_over: bool = False,
    ) -> Answer:
        """Judge one cycle: `is_free` when the chain lets its action pass, `is_waiting` before the first chunk.

        `reason` is why it does not pass. `path_is_over` when a retreat has no way left to go back.
        """
        worst = max(
            (t for t in triggers if t.name not in self.excused),
            key=lambda t: SEVERITY[t.reaction],
            default=None,
        )
        if worst is not None and worst.reaction in {STOP, EMERGENCY_STOP}:
            return self._end(worst.reaction, worst.reason, "preempt", worst.hold_at_measured)
        if self._retreat_since_ns is not None:
            return self._retreat(now_ns, is_free=is_free, reason=reason, path_is_over=path_is_over)
        if worst is not None and worst.reaction == RETREAT:
            self._retreat_since_ns, self._retreat_because = now_ns, worst.reason
            self.excused = frozenset(t.name for t in triggers if t.reaction == RETREAT)
            return Answer(False, RETREAT, changes=self._turn(RETREAT, worst.reason, "enter"))
        slow = self._slow(now_ns, triggers)
        if slow is not None:
            is_free, reason = False, slow
        if is_free:
            self._went_on()
            current = SLOW_DOWN if self._slow_since_ns is not None else NONE
            because = worst.reason if worst is not None else ""
            return Answer(True, current, changes=self._turn(current, because, "enter"))
        return self._hold(now_ns, triggers, is_waiting=is_waiting, reason=reason, escalated=slow is not None)

    def _slow(self, now_ns: int, triggers: Sequence[Trigger]) -> str | None:
        """Keep the slow-down's times; why it has to become a hold, when it does."""
        asking = next((t for t in triggers if t.reaction == SLOW_DOWN), None)
        if asking is not None:
            self._slow_seen_ns = now_ns
            if self._slow_since_ns is None:
                self._slow_since_ns = now_ns
            slow_s = seconds_between(self._slow_since_ns, now_ns)
            if slow_s > self._rules.slow_limit_s:
                return f"Going slower for {slow_s:.0f} s did not help: {asking.reason}"
        elif (
            self._slow_since_ns is not None
            and seconds_between(self._slow_seen_ns, now_ns) >= self._rules.slow_release_s
        ):
            self._slow_since_ns = None
        return None

    def _retreat(self, now_ns: int, *, is_free: bool, reason: str, path_is_over: bool) -> Answer:
        assert self._retreat_since_ns is not None
        back_s = seconds_between(self._retreat_since_ns, now_ns)
        if path_is_over or back_s > self._rules.retreat_s:
            return self._end(STOP, f"Went back along the path. {self._retreat_because}", "escalate")
        if is_free:
            return Answer(True, RETREAT)
        return self._end(STOP, f"Could not go back ({reason}). {self._retreat_because}", "escalate")

    def _hold(
        self, now_ns: int, triggers: Sequence[Trigger], *, is_waiting: bool, reason: str, escalated: bool
    ) -> Answer:
        if self._held_since_ns is None or is_waiting != self._was_waiting:
            self._held_since_ns = now_ns
        self._was_waiting = is_waiting
        is_nonfinite = any(t.check == Finite.name for t in triggers)
        self._nonfinite_in_row = self._nonfinite_in_row + 1 if is_nonfinite else 0
        if self._nonfinite_in_row >= self._rules.nonfinite_limit:
            text = f"{self._nonfinite_in_row} actions in a row were not finite. {reason} Check the policy."
            return self._end(self._latch(), text, "escalate")
        held_s = seconds_between(self._held_since_ns, now_ns)
        if held_s >= (self._rules.first_chunk_s if is_waiting else self._rules.hold_grace_s):
            is_latching = any(t.is_latching for t in triggers)
            text = f"Stopped after holding for {held_s:.1f} s. {reason} Start again when that is solved."
            return self._end(self._latch() if is_latching else STOP, text, "escalate")
        pull_back = not self._is_pulled_back and any(t.hold_at_measured for t in triggers)
        self._is_pulled_back = self._is_pulled_back or pull_back
        current = NONE if is_waiting else HOLD
        changes = self._turn(current, reason, "escalate" if escalated else "enter")
        return Answer(False, current, hold_at_measured=pull_back, changes=changes)

    def _latch(self) -> str:
        return EMERGENCY_STOP if self._rules.may_latch else STOP

    def _went_on(self) -> None:
        self._held_since_ns = None
        self._nonfinite_in_row = 0
        self._is_pulled_back = False

    def _end(self, reaction: str, reason: str, kind: str, hold_at_measured: bool = False) -> Answer:
        changes = self._turn(reaction, reason, kind)
        if reaction == EMERGENCY_STOP:
            return Answer(False, reaction, "", reason, hold_at_measured, changes)
        return Answer(False, reaction, reason, "", hold_at_measured, changes)

    def _turn(self, reaction: str, reason: str, kind: str) -> tuple[Change, ...]:
        """Note a new reaction; nothing when it is the old one."""
        before, self._current = self._current, reaction
        if reaction == before:
            return ()
        if before == NONE:
            return (Change(kind if kind == "escalate" else "enter", reaction, reason),)
        if SEVERITY[reaction] > SEVERITY[before]:
            return (Change("escalate" if kind == "escalate" else "preempt", reaction, reason),)
        left = (Change("exit", before, ""),)
        return left if reaction == NONE else (*left, Change("enter", reaction, reason))
