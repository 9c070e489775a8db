# SPDX-License-Identifier: Apache-2.0
"""Codes of what a room refuses, and the close codes of its sockets: for programs, beside the sentence for people."""

from enum import IntEnum

from lerobot_arena.core.errors import ArenaError


class Close(IntEnum):
    """WebSocket close codes of rooms; docs/rooms.md tells what a client should do about each."""

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


# Refusals that end a connection, by their code; others leave it open.
CLOSE_OF = {
    "join_invalid": Close.BAD_JOIN,
    "join_late": Close.SILENT,
    "not_found": Close.NO_ROOM,
    "forbidden": Close.FORBIDDEN,
    "ros_only": Close.FORBIDDEN,
    "ros_produces": Close.TAKEN,
    "participant_taken": Close.TAKEN,
    "producer_taken": Close.TAKEN,
    "resume_unknown": Close.TAKEN,
    "room_full": Close.TOO_MANY,
    "too_many_participants": Close.TOO_MANY,
}


def refuse(kind: type[ArenaError], code: str, message: str) -> ArenaError:
    """An error of `kind`, which decides the HTTP status, with a code of its own."""
    error = kind(message)
    error.code = code
    return error
