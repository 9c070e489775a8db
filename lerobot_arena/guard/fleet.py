# SPDX-License-Identifier: Apache-2.0
"""Which virtual arms one process guards: a bounded number, first come first served."""

from collections.abc import Iterable
from dataclasses import dataclass

from lerobot_arena.core.session import SessionsWanted


@dataclass(frozen=True, slots=True)
class FleetChange:
    """Arms to open, to close, and those there is no room for."""

    opened: tuple[str, ...]
    closed: tuple[str, ...]
    refused: tuple[str, ...]


def plan_fleet(wanted: SessionsWanted, guarded: Iterable[str], limit: int) -> FleetChange:
    """Keep what is guarded and still wanted; open further virtual arms while there is room."""
    arms = list(dict.fromkeys(session.arm for session in wanted.sessions if session.is_virtual))
    before = list(guarded)
    kept = [arm for arm in before if arm in arms]
    new = [arm for arm in arms if arm not in kept]
    room = max(0, limit - len(kept))
    return FleetChange(
        opened=tuple(new[:room]),
        closed=tuple(arm for arm in before if arm not in arms),
        refused=tuple(new[room:]),
    )
