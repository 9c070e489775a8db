# SPDX-License-Identifier: Apache-2.0
"""The newest log entries of all processes, in memory, for /debug/logs."""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 1000
SHOWN = 200
_MAX_MESSAGE = 4000


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line: `time` in seconds since 1970, `source` the logger or ROS node."""

    time: float
    level: str
    source: str
    message: str


class RingLog:
    """Bounded; safe to add to from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=kept)

    def add(self, entry: LogEntry) -> None:
        """Append, dropping the oldest when full."""
        self._entries.append(entry)

    def newest(self, count: int = SHOWN) -> list[Mapping[str, Any]]:
        """Up to `count` entries, oldest first."""
        return [asdict(entry) for entry in list(self._entries)[-count:]]


class RingHandler(logging.Handler):
    """Copies this process's log records into a RingLog; the traceback stays in the process's own log."""

    def __init__(self, ring: RingLog) -> None:
        super().__init__(logging.INFO)
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        message = record.getMessage()[:_MAX_MESSAGE]
        if record.exc_info and record.exc_info[1] is not None:
            message += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"[:_MAX_MESSAGE]
        self._ring.add(LogEntry(record.created, record.levelname, record.name, message))
