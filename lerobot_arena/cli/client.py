# SPDX-License-Identifier: Apache-2.0
"""One call of a command to its bridge, over lerobot_arena.client."""

from collections.abc import Callable

from lerobot_arena.client.arena import Arena


def ask[T](url: str | None, work: Callable[[Arena], T]) -> T:
    """What `work` finds at `url`, else where ARENA_URL and ARENA_BRIDGE_PORT say; with the token that belongs to it."""
    with Arena(url) as arena:
        return work(arena)
