# SPDX-License-Identifier: Apache-2.0
"""The fields of a protobuf message without its schema, by number, from bytes that may be foreign.

Source: protobuf.dev/programming-guides/encoding. Groups, gone since proto2, are refused.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next thing begins. Raises ValueError or IndexError."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def fields(data: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
    """(field number, wire type, value) of each field; values of bytes and fixed width are views, not copies.

    Raises ValueError or IndexError where `data` is no protobuf message.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = varint(data, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = varint(data, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"field {number} has wire type {wire}")
        if at + size > len(data):
            raise ValueError("it is cut short")
        yield number, wire, data[at : at + size]
        at += size
