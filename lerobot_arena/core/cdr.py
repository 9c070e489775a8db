# SPDX-License-Identifier: Apache-2.0
"""Reading serialised messages without their classes: OMG CDR, little endian, XCDR1."""

import struct

from lerobot_arena.core.errors import InvalidInput

ENCAPSULATION = 4
_LITTLE_ENDIAN = 1


class CdrReader:
    """Reads fields in order; CDR aligns each to its size, counted after the four bytes of encapsulation."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 12 or data[1] != _LITTLE_ENDIAN:
            raise InvalidInput(f"A serialised message of {len(data)} bytes is not little-endian CDR.")
        self.data = data
        self.at = ENCAPSULATION

    def number(self, code: str, size: int) -> int:
        """The next number; `code` is struct's, `size` its bytes. Raises struct.error at the end."""
        self.at += -(self.at - ENCAPSULATION) % size
        (value,) = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += size
        return int(value)

    def block(self) -> memoryview:
        """The next sequence of bytes, or string. Raises InvalidInput when it is cut short."""
        size = self.number("I", 4)
        if self.at + size > len(self.data):
            raise InvalidInput("A serialised message is cut short.")
        self.at += size
        return memoryview(self.data)[self.at - size : self.at]

    def text(self) -> str:
        """The next string."""
        return bytes(self.block()).rstrip(b"\0").decode(errors="replace")
