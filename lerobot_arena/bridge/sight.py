# SPDX-License-Identifier: Apache-2.0
"""What one caller may know of sessions and arms.

A session is its owner's, and so is the virtual arm it drives. A physical arm is everybody's who has the scope: its
telemetry, recordings and risk log name the session that ran, whoever it belongs to.
"""

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.session_book import BookedSession, SessionBook
from lerobot_arena.core.errors import Forbidden
from lerobot_arena.core.principal import Principal
from lerobot_arena.core.topics import VIRTUAL_ARMS


def is_virtual(arm: str) -> bool:
    """Whether an arm exists only as some session's own."""
    return arm.startswith(VIRTUAL_ARMS)


class Sight:
    """One caller's view."""

    def __init__(self, caller: Principal, book: SessionBook, board: Board) -> None:
        self.caller, self._book, self._board = caller, book, board

    def sees(self, session: BookedSession) -> bool:
        """May know that it exists."""
        return self.caller.sees(session.record.owner)

    def sees_id(self, session_id: str) -> bool:
        """May know of the session with this id."""
        return session_id in self._book and self.sees(self._book.get(session_id))

    def session(self, session_id: str) -> BookedSession:
        """A session of one's own. Raises NotFound, also for somebody else's."""
        session = self._book.get(session_id)
        self.caller.check_sees(session.record.owner, f"Session {session_id}")
        return session

    def sessions(self) -> list[BookedSession]:
        """One's sessions, oldest first."""
        return [session for session in self._book.all() if self.sees(session)]

    def of_arm(self, arm: str) -> list[BookedSession]:
        """One's sessions that drive an arm."""
        return [session for session in self._book.of_arm(arm) if self.sees(session)]

    def arms(self) -> list[str]:
        """Physical arms, and the virtual ones of one's sessions."""
        return [arm for arm in sorted(self._board.arms) if self.sees_arm(arm)]

    def sees_arm(self, arm: str) -> bool:
        """May know that it exists."""
        return not is_virtual(arm) or self.caller.sees_all or bool(self.of_arm(arm))

    def arm(self, arm: str | None) -> str:
        """The named arm, or one's only one. Raises as `Board.arm_or_only`."""
        return self._board.arm_or_only(arm, among=self.arms())

    def any_arm(self, arm: str | None) -> str:
        """As `arm`; but an arm that is named is found, whoever it belongs to: everybody may stop everything."""
        return arm if arm is not None and arm in self._board.arms else self.arm(arm)

    def virtual_arms(self) -> frozenset[str] | None:
        """The virtual arms one may read about, also those that are not there any more; None for all."""
        if self.caller.sees_all:
            return None
        return frozenset(session.wanted.arm for session in self.sessions() if session.wanted.is_virtual)

    def check_moves(self, session: BookedSession) -> None:
        """Raises Forbidden when the session that would move its arm is somebody else's."""
        if not self.sees(session):
            raise Forbidden(
                f"What arm {session.wanted.arm!r} would run is somebody else's: they or an admin may start it. Make a "
                "session of your own (POST /sessions)."
            )

    def shown_id(self, session_id: str | None) -> str | None:
        """A session's id for one who may see it."""
        return session_id if session_id and (self.caller.sees_all or self.sees_id(session_id)) else None
