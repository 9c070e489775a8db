# SPDX-License-Identifier: Apache-2.0
"""A client of an arena's bridge: `Arena` blocks, `AsyncArena` is awaited; both have the same names.

Needs httpx and websockets, neither ROS nor torch; both are imported with the first call. docs/client.md has examples.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot_arena.client.arena import Arena as Arena
    from lerobot_arena.client.arena import AsyncArena as AsyncArena

_HOMES = {"Arena": "arena", "AsyncArena": "arena"}

__all__ = ["Arena", "AsyncArena"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: an e-stop from a shell waits for nothing it does not use."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
