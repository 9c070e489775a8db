# SPDX-License-Identifier: Apache-2.0
"""The instances of one deployment, and how it is."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lerobot_arena.core.clock import NS, seconds_between
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.platform.deployments.deployment import (
    BROWSER,
    FAILED,
    IDLE,
    PROCESSING,
    STARTING,
    Deployment,
    Load,
)
from lerobot_arena.platform.deployments.runtimes import Instance

_MOST_EVENTS = 100
_LONGEST_REASON = 600
_FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_MOST_DOUBLINGS = 6
# Whoever asked may have given up waiting for it, and has to find it when they ask again.
_AWAITED_S = 60.0

OnEvent = Callable[[Deployment, str, str | None], None]
"""Deployment, what happened, and the reason where something failed."""


@dataclass(frozen=True, slots=True)
class CrewState:
    """What a deployment does now; `events` newest last."""

    status: str
    instances: int = 0
    last_error: str | None = None
    idle_s: float = math.inf
    events: tuple[str, ...] = ()


@dataclass(eq=False)
class Member:
    """One instance. Once it `is_ending` it gets no request, and counts until its stop has succeeded."""

    instance: Instance
    busy: int = 0
    is_ending: bool = False
    stopping: asyncio.Task[None] | None = None

    @property
    def is_free(self) -> bool:
        """Takes a request now."""
        has_place = self.busy < getattr(self.instance, "at_once", 1)
        return has_place and not self.is_ending and self.instance.is_alive


@dataclass(eq=False)
class Crew:
    """The instances of one deployment, all of them: those that still have to stop as well."""

    deployment: Deployment
    on_event: OnEvent
    members: list[Member] = field(default_factory=list)
    waiting: int = 0
    starting: int = 0
    used_ns: int | None = None
    awaited_ns: int = 0
    last_error: str | None = None
    stop_error: str | None = None
    attempts: int = 0
    failures: int = 0
    again_ns: int = 0
    is_gone: bool = False
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def live(self) -> list[Member]:
        """Those that answer."""
        return [member for member in self.members if not member.is_ending]

    @property
    def ending(self) -> list[Member]:
        """Those that have to stop."""
        return [member for member in self.members if member.is_ending]

    @property
    def is_over(self) -> bool:
        """Deleted, and nothing of it runs."""
        return self.is_gone and not self.members and not self.starting

    @property
    def places(self) -> int:
        """How many of the machine's instances it has; a browser's are not on this machine."""
        return 0 if self.deployment.kind == BROWSER else len(self.members) + self.starting

    @property
    def has_place(self) -> bool:
        """Its own bounds allow for one more."""
        return len(self.members) < self.deployment.scale.most

    def idle_s(self, now_ns: int) -> float:
        """Since the last use."""
        return math.inf if self.used_ns is None else seconds_between(self.used_ns, now_ns)

    def load(self, now_ns: int) -> Load:
        """What decides how many there should be."""
        live = self.live
        busy = sum(member.busy > 0 for member in live)
        return Load(len(live), busy, self.waiting, self.idle_s(now_ns), now_ns < self.awaited_ns)

    def state(self, missing: str, now_ns: int) -> CrewState:
        """How it is; `missing` is what its runtime needs."""
        error = missing or self.stop_error or self.last_error
        if missing or self.stop_error or (self.failures and not self.members):
            status = FAILED
        elif self.starting or self.waiting:
            status = STARTING
        else:
            status = PROCESSING if any(member.busy for member in self.members) else IDLE
        return CrewState(status, len(self.members), error, self.idle_s(now_ns), tuple(self.events))

    def refusal(self, attempts: int, now_ns: int) -> str | None:
        """Why whoever came after so many attempts waits in vain; None: somebody answers, or may yet come."""
        if self.live or (self.attempts == attempts and now_ns >= self.again_ns):
            return None
        if self.stop_error is not None and not self.has_place:
            return self.stop_error
        return (self.last_error or "It does not start.") if self.failures else None

    def note(self, event: str, error: str | None = None) -> None:
        """For its state, and for the record."""
        self.events.append(event)
        self.on_event(self.deployment, event, error)

    def note_start(self, now_ns: int) -> None:
        """One more answers. It was started for the last use, however long that took."""
        self.failures, self.last_error = 0, None
        if self.used_ns is not None:
            self.used_ns, self.awaited_ns = now_ns, now_ns + round(_AWAITED_S * NS)
        self.note(f"instance {len(self.live)} started")

    def note_use(self, now_ns: int) -> None:
        """An answer was given, or nobody waits for it any more."""
        self.used_ns, self.awaited_ns = now_ns, 0

    def note_failed_start(self, error: Exception, now_ns: int) -> None:
        """The next try is after a pause that grows."""
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(self.failures, _MOST_DOUBLINGS), LONGEST_PAUSE_S)
        self.failures += 1
        self.last_error = reason_of(error)
        self.again_ns = now_ns + round(pause_s * NS)
        self.note(f"start failed: {self.last_error}", self.last_error)

    def note_failed_stop(self, error: Exception) -> bool:
        """Whether it is news: it is tried again every second."""
        self.attempts += 1
        before, self.stop_error = self.stop_error, f"It could not be stopped: {reason_of(error)}"
        if self.stop_error != before:
            self.note(f"stop failed: {reason_of(error)}", self.stop_error)
        return self.stop_error != before

    def note_stop(self, member: Member) -> None:
        """Nothing of it runs any more."""
        self.members.remove(member)
        if not self.ending:
            self.stop_error = None
        self.note("instance stopped")


def reason_of(error: Exception) -> str:
    """In words; what is no ArenaError is a runtime's own mistake."""
    text = (
        str(error)
        if isinstance(error, ArenaError)
        else f"The runtime failed: {type(error).__name__}: {error}"
    )
    return plain(text)[:_LONGEST_REASON]


def plain(text: str) -> str:
    """Without what no database and no answer takes; new lines stay."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
