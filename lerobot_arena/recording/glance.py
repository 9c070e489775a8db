# SPDX-License-Identifier: Apache-2.0
"""What a serialised msg/Cycle says in its first fields, at their fixed places: recordings have millions of them."""

import struct
from typing import NamedTuple

from lerobot_arena.core.verdict import Decision

CYCLE_TYPE = "lerobot_arena/msg/Cycle"
_FIELDS = struct.Struct("<BBBBiI4xQQ")
_ENCAPSULATION = 4
_LITTLE_ENDIAN = 1


class Glance(NamedTuple):
    """The first fields of a cycle, in their order in the message."""

    decision: int
    outcome: int
    late: int
    risk: int
    stamp_s: int
    stamp_ns: int
    steady_ns: int
    cycle_id: int

    @property
    def is_violation(self) -> bool:
        return self.decision >= Decision.REJECT

    @property
    def is_clamp(self) -> bool:
        return self.decision == Decision.CLAMP


def glance(data: bytes) -> Glance | None:
    """None when it is no little-endian CDR of that size."""
    if len(data) < _ENCAPSULATION + _FIELDS.size or data[1] != _LITTLE_ENDIAN:
        return None
    return Glance(*_FIELDS.unpack_from(data, _ENCAPSULATION))


# Where other messages of a guard's cycle say which cycle it was.
_CYCLE_ID_AT = {
    CYCLE_TYPE: 24,
    "lerobot_arena/msg/GuardObservation": 8,
    "lerobot_arena/msg/GuardAction": 8,
    "lerobot_arena/msg/GuardLayer": 16,
    "lerobot_arena/msg/ContextEvent": 8,
}
OF_A_CYCLE = frozenset(_CYCLE_ID_AT)


def cycle_id_of(type_name: str, data: bytes) -> int | None:
    """The cycle a message of this type belongs to; None when it does not say so."""
    at = _CYCLE_ID_AT.get(type_name)
    if at is None or len(data) < _ENCAPSULATION + at + 8 or data[1] != _LITTLE_ENDIAN:
        return None
    return int.from_bytes(data[_ENCAPSULATION + at : _ENCAPSULATION + at + 8], "little")
