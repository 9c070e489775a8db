# SPDX-License-Identifier: Apache-2.0
"""Ids that clients choose, and the ROS names they become.

ROS name tokens allow `[A-Za-z0-9_]`, no leading digit, no `__`, no trailing `_`. The escape is reversible:
every byte that is not a letter (except `Z`), a digit after the first place, or a lone inner underscore becomes
`Z` and two hex digits.  `my-cam` → `myZ2dcam`, `7` → `Z37`, `Z` → `Z5a`.
"""

import re
import string

from lerobot_arena.core.errors import InvalidInput

MAX_ID_LENGTH = 64
MAX_TOPIC_LENGTH = 240
_LITERAL = frozenset((string.ascii_letters + string.digits).replace("Z", ""))
_NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*(/[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*)*")


def check_id(value: str, what: str) -> str:
    """Return `value` when it can be an id. Raises InvalidInput naming `what`."""
    if not value or len(value) > MAX_ID_LENGTH:
        raise InvalidInput(f"{what} must have 1 to {MAX_ID_LENGTH} characters, got {len(value)}.")
    if not value.isprintable() or value != value.strip() or "/" in value or value in {".", ".."}:
        raise InvalidInput(
            f"{what} {value!r} must be printable, without '/', and without spaces at its ends."
        )
    return value


def check_arm(value: str) -> str:
    """Return `value` when it can be an arm's namespace. Raises InvalidInput."""
    if not _NAMESPACE.fullmatch(value) or len(value) > MAX_ID_LENGTH * 4:
        raise InvalidInput(
            f"Arm {value!r} is not a ROS namespace: use letters, digits and single underscores."
        )
    return value


def escape(value: str) -> str:
    """One ROS name token for any id; `unescape` gives the id back."""
    raw = value.encode()
    out: list[str] = []
    for index, byte in enumerate(raw):
        char = chr(byte)
        if char == "_":
            literal = 0 < index < len(raw) - 1 and out[-1] != "_"
        else:
            literal = char in _LITERAL and not (index == 0 and char.isdigit())
        out.append(char if literal else f"Z{byte:02x}")
    return "".join(out)


def unescape(token: str) -> str:
    """The id that `escape` made `token` from. Raises InvalidInput for any other token."""
    try:
        raw = re.sub(rb"Z([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), token.encode())
        value = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{token!r} is not an escaped id.") from error
    if escape(value) != token:
        raise InvalidInput(f"{token!r} is not an escaped id.")
    return value
