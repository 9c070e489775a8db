# SPDX-License-Identifier: Apache-2.0
"""What the border tells the audit log: who crossed it to change something, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from lerobot_arena.bridge.access import Row
from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.principal import Principal
from lerobot_arena.platform.accounts.audit import AuditEntry, AuditLog

CHATTY_S = 60.0
_MOST_CHATTY = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A call that changes something. `row` is of its route, `path` what was asked."""

    caller: Principal
    method: str
    row: Row
    path: str
    status: int


Note = Callable[[Crossing], None]


class Crossings:
    """Makes entries of crossings; used on the event loop."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._said_ns: dict[tuple[str, str], int] = {}

    def note(self, crossing: Crossing) -> None:
        """Hand one to the audit log, unless its like was there a moment ago."""
        caller, row = crossing.caller, crossing.row
        if row.is_chatty and self._was_said(caller.name, crossing.path):
            return
        self._log.note(
            AuditEntry(
                caller.name,
                caller.via,
                caller.address if row.keeps_address else "",
                crossing.method,
                row.path,
                crossing.path,
                crossing.status,
                self._clock.wall_ns() / NS,
            )
        )

    def _was_said(self, name: str, path: str) -> bool:
        now_ns = self._clock.steady_ns()
        said_ns = self._said_ns.get((name, path))
        if said_ns is not None and now_ns - said_ns < CHATTY_S * NS:
            return True
        if len(self._said_ns) >= _MOST_CHATTY:
            self._said_ns.clear()
        self._said_ns[name, path] = now_ns
        return False
