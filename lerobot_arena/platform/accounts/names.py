# SPDX-License-Identifier: Apache-2.0
"""What a user may be called: seed 2's owners, who stand in paths and labels."""

import re
from collections.abc import Set

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.principal import ANONYMOUS_NAME, LOCAL_NAME, USER_SCOPES
from lerobot_arena.core.reserved import ROUTE_SEGMENTS

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,37}[a-z0-9])?", re.ASCII)
RESERVED = ROUTE_SEGMENTS | frozenset(
    {
        ANONYMOUS_NAME,
        LOCAL_NAME,
        "admin",
        "administrator",
        "arena",
        "everybody",
        "everyone",
        "guard",
        "guest",
        "lerobot-arena",
        "me",
        "moderator",
        "nobody",
        "null",
        "official",
        "operator",
        "public",
        "root",
        "security",
        "server",
        "staff",
        "support",
        "superuser",
        "sysadmin",
        "system",
        "undefined",
        "unknown",
        "user",
    }
)
"""Names that others would take for the system or its keepers, and those that hide a path."""


def is_name(name: str) -> bool:
    """Somebody could be called so."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str, reserved: Set[str] = frozenset()) -> str:
    """Return `name` when a user may have it; `reserved` adds to RESERVED. Raises InvalidInput."""
    if not is_name(name):
        raise InvalidInput(
            f"The user name {name[:60]!r} must be 1 to 39 lowercase letters, digits and hyphens, "
            "with no hyphen at its ends."
        )
    if name in RESERVED or name in reserved:
        raise InvalidInput(f"The user name {name} is reserved. Choose another, such as your own.")
    return name


def check_scopes(scopes: Set[str], allowed: Set[str] = frozenset(USER_SCOPES)) -> frozenset[str]:
    """Return `scopes` when all of them are allowed. Raises InvalidInput naming the others."""
    unknown = sorted(set(scopes) - set(allowed))
    if unknown:
        raise InvalidInput(
            f"Not to be given: {', '.join(scope[:60] for scope in unknown[:10])}. "
            f"Choose from {', '.join(sorted(allowed)) or 'nothing, as you have no scope'}."
        )
    return frozenset(scopes)
