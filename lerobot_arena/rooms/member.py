# SPDX-License-Identifier: Apache-2.0
"""One participant of one room, and what the room asks of who joins. Pure."""

import secrets
from collections import Counter
from dataclasses import dataclass, field

from lerobot_arena.core.delay import DelayEstimator
from lerobot_arena.rooms.mailbox import Mailbox
from lerobot_arena.rooms.media_wire import PRODUCER
from lerobot_arena.rooms.wire import Join


@dataclass(eq=False, slots=True)
class Member:
    """`identity` is the name of the account behind it; `heard_ns` when it last said anything."""

    join: Join
    identity: str
    mailbox: Mailbox
    heard_ns: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    delay: DelayEstimator = field(default_factory=DelayEstimator)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def participant_id(self) -> str:
        """Unique in its room only."""
        return self.join.participant_id

    @property
    def role(self) -> str:
        """producer or consumer."""
        return self.join.role

    @property
    def is_producer(self) -> bool:
        """Has the room's one producer slot."""
        return self.join.role == PRODUCER

    def refuse(self, code: str, message: str, **more: object) -> None:
        """Tell it what was wrong, and count it."""
        self.refused[code] += 1
        self.mailbox.put_error(code, message, **more)


@dataclass(slots=True)
class Departed:
    """Who left a moment ago: the same may come back with its token, and its clock is still known."""

    token: str
    delay: DelayEstimator
    left_ns: int


def owns_token(token: str, given: str) -> bool:
    """Compare without telling by time how much was right."""
    return bool(given) and secrets.compare_digest(token.encode(), given.encode())
