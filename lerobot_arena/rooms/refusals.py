# SPDX-License-Identifier: Apache-2.0
"""Codes of what a room refuses, and the close codes of its sockets: for programs, beside the sentence for people."""

from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.room_codes import Close as Close

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
    "room_full": Close.TOO_MANY,
    "too_many_participants": Close.TOO_MANY,
}


def refuse(kind: type[ArenaError], code: str, message: str) -> ArenaError:
    """An error of `kind`, which decides the HTTP status, with a code of its own."""
    error = kind(message)
    error.code = code
    return error
