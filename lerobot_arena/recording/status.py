# SPDX-License-Identifier: Apache-2.0
"""What a recorder says of itself: `recorder/status` as JSON, and /diagnostics."""

import json
from collections import deque
from dataclasses import asdict, dataclass, field

IDLE, RECORDING, DEGRADED = "idle", "recording", "degraded"
OK, WARN, ERROR = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person should know; `number` grows by one per event of one process."""

    number: int
    at_unix: float
    level: int
    session_id: str
    text: str


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """`message` says what to do; empty when all is well."""

    arm: str
    boot_id: str
    state: str
    message: str = ""
    session_id: str = ""
    folder: str = ""
    file: str = ""
    file_count: int = 0
    started_at_unix: float = 0.0
    messages: int = 0
    total_cycles: int = 0
    violation_cycles: int = 0
    clamp_cycles: int = 0
    images: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    queue_messages: int = 0
    queue_bytes: int = 0
    queue_deepest: int = 0
    free_bytes: int = -1
    slowest_sync_ms: float = 0.0
    clock_jumps: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    def as_json(self) -> str:
        """One object, all fields."""
        return json.dumps(asdict(self))

    @property
    def level(self) -> int:
        """For /diagnostics."""
        if self.state == DEGRADED:
            return ERROR
        return WARN if self.message or self.dropped else OK

    def values(self) -> list[tuple[str, str]]:
        """For /diagnostics."""
        counted = (
            "session_id",
            "file",
            "messages",
            "queue_messages",
            "queue_deepest",
            "free_bytes",
            "slowest_sync_ms",
        )
        return [
            *((name, str(getattr(self, name))) for name in counted),
            ("dropped", str(sum(self.dropped.values()))),
            *((f"skipped {topic}", why) for topic, why in self.skipped.items()),
        ]


class EventLog:
    """The latest events."""

    def __init__(self, kept: int = 32) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        self._number = 0

    def add(self, at_unix: float, level: int, session_id: str, text: str) -> None:
        """Remember one more."""
        self._number += 1
        self._events.append(Event(self._number, at_unix, level, session_id, text))

    def all(self) -> tuple[Event, ...]:
        """The oldest first."""
        return tuple(self._events)
