# SPDX-License-Identifier: Apache-2.0
"""Which message gives way first when the queue is full, told from bytes at fixed places."""

from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.glance import CYCLE_TYPE, OF_A_CYCLE, cycle_id_of, glance
from lerobot_arena.recording.names import IMAGE_TYPES
from lerobot_arena.recording.queue import Rank

_EVENT_TYPE = "lerobot_arena/msg/ContextEvent"


class Ranking:
    """Remembers which cycle was the latest that was no PASS, so that what belongs to it stays with it."""

    def __init__(self) -> None:
        self._cycle_id, self._rank = -1, Rank.PASS

    def of(self, type_name: str, data: bytes) -> Rank:
        """The rank of a message that has just come."""
        if type_name in IMAGE_TYPES:
            return Rank.IMAGE
        if type_name == CYCLE_TYPE:
            return self._of_cycle(data)
        if type_name == _EVENT_TYPE:
            return Rank.VIOLATION
        if type_name in OF_A_CYCLE:
            return self._rank if cycle_id_of(type_name, data) == self._cycle_id else Rank.PASS
        return Rank.PLAIN

    def _of_cycle(self, data: bytes) -> Rank:
        seen = glance(data)
        if seen is None:
            return Rank.PLAIN
        if seen.decision == Decision.PASS:
            return Rank.PASS
        self._cycle_id = seen.cycle_id
        self._rank = Rank.VIOLATION if seen.is_violation else Rank.PLAIN
        return self._rank

    def belongs(self, type_name: str, data: bytes) -> bool:
        """Whether an earlier message is of that latest cycle."""
        return type_name in OF_A_CYCLE and cycle_id_of(type_name, data) == self._cycle_id
