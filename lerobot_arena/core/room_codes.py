# SPDX-License-Identifier: Apache-2.0
"""WebSocket close codes of rooms, for those who send them and those who get them."""

from enum import IntEnum


class Close(IntEnum):
    """docs/rooms.md tells what a client should do about each."""

    LEFT = 1000
    ENDING = 1001
    BAD_JOIN = 4400
    FORBIDDEN = 4403
    NO_ROOM = 4404
    SILENT = 4408
    TAKEN = 4409
    ROOM_CLOSED = 4410
    RESUMED = 4412
    TOO_SLOW = 4413
    TOO_MANY = 4429
