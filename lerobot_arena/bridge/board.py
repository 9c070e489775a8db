# SPDX-License-Identifier: Apache-2.0
"""The newest facts about arms and sessions, with the time each was received. Lives on the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lerobot_arena.core.clock import Clock, SystemClock, seconds_between
from lerobot_arena.core.errors import InvalidInput, NotFound, Unavailable
from lerobot_arena.core.session import EmbodimentStatus, GuardState, SessionsStatus, TaskStatus

# Guards publish at 5 Hz or more, inference at 4 Hz while it has sessions; a busy machine delays both.
STALE_S = 3.0


@dataclass(frozen=True, slots=True)
class Seen[T]:
    """A value and when it was received, on the steady clock."""

    value: T
    receipt_ns: int


@dataclass(slots=True)
class ArmFacts:
    """What is known of one arm."""

    guard: Seen[GuardState] | None = None
    embodiment: Seen[EmbodimentStatus] | None = None
    task: Seen[TaskStatus] | None = None


GuardListener = Callable[[GuardState | None, GuardState], None]
# (arm, status as JSON)
RecorderListener = Callable[[str, str], None]


@dataclass(slots=True)
class Board:
    """Facts by arm. `on_…` are called by the link, in the loop; everybody else reads and waits."""

    clock: Clock = field(default_factory=SystemClock)
    sessions: Seen[SessionsStatus] | None = None
    sessions_before: SessionsStatus | None = None
    arms: dict[str, ArmFacts] = field(default_factory=dict)
    guard_listeners: list[GuardListener] = field(default_factory=list)
    recorder_listeners: list[RecorderListener] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_sessions(self, value: SessionsStatus) -> None:
        """The inference process said what it holds."""
        if self.sessions is not None:
            self.sessions_before = self.sessions.value
        self.sessions = self._seen(value)
        self._notify()

    def on_guard(self, value: GuardState) -> None:
        """A guard said what it does."""
        facts = self.arms.setdefault(value.arm, ArmFacts())
        before = facts.guard.value if facts.guard else None
        facts.guard = self._seen(value)
        for listener in self.guard_listeners:
            listener(before, value)
        self._notify()

    def on_embodiment(self, value: EmbodimentStatus) -> None:
        """An embodiment said how it is."""
        self.arms.setdefault(value.arm, ArmFacts()).embodiment = self._seen(value)
        self._notify()

    def on_task(self, arm: str, value: TaskStatus) -> None:
        """A simulator's referee spoke."""
        self.arms.setdefault(arm, ArmFacts()).task = self._seen(value)

    def on_recorder(self, arm: str, status: str) -> None:
        """An arm's recorder said how it is."""
        for listener in self.recorder_listeners:
            listener(arm, status)

    def forget(self, arm: str) -> None:
        """A virtual arm ended with its session."""
        self.arms.pop(arm, None)
        self._notify()

    def facts(self, arm: str) -> ArmFacts:
        """What is known of an arm; nothing, when it never reported."""
        return self.arms.get(arm, ArmFacts())

    def arm_or_only(self, arm: str | None, *, among: Sequence[str] | None = None) -> str:
        """The named arm, or the only one, of `among` or of all.

        Raises NotFound; InvalidInput among several, Unavailable without any.
        """
        known = sorted(self.arms) if among is None else among
        if arm is not None:
            if arm not in known:
                raise NotFound(f"There is no arm {arm!r}. Arms here: {', '.join(known) or 'none'}.")
            return arm
        if len(known) > 1:
            raise InvalidInput(f"There are several arms: add ?arm= with one of {', '.join(known)}.")
        if not known:
            raise Unavailable("No arm reports: is a guard running?")
        return known[0]

    def age_s[T](self, seen: Seen[T] | None) -> float | None:
        """Seconds since receipt, or None when there was none."""
        return None if seen is None else seconds_between(seen.receipt_ns, self.clock.steady_ns())

    def is_fresh[T](self, seen: Seen[T] | None) -> bool:
        """Received within STALE_S: its process is alive."""
        age_s = self.age_s(seen)
        return age_s is not None and age_s <= STALE_S

    async def wait_for[T](self, look: Callable[[], T | None], timeout_s: float) -> T | None:
        """The first true answer of `look`, asked now and after each change; None after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (found := look()):
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            changed = self._changed
            try:
                # Freshness is a matter of time too, so look again even when nothing is reported.
                await asyncio.wait_for(changed.wait(), min(left_s, 0.5))
            except TimeoutError:
                continue
        return found

    def _seen[T](self, value: T) -> Seen[T]:
        return Seen(value, self.clock.steady_ns())

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
