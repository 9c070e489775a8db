# SPDX-License-Identifier: Apache-2.0
"""What the demo does next, from what it sees. Pure; times come from the caller.

It ends an episode when the referee says so, prepares the next scene and starts again. A person wins always: while the
e-stop is latched, or after somebody stopped the session, it waits for somebody to start.
"""

import re
from dataclasses import dataclass
from enum import Enum

from lerobot_arena.core.session import ERROR, INITIALIZING, READY, RUNNING

RETRY_AFTER_S = 2.0
# An e-stop and its reset may both happen between two looks; what it leaves in the message is still a person's word.
_BY_A_PERSON = re.compile(r"e-?stop|emergency", re.IGNORECASE)


class Step(Enum):
    """The verb to call now, if any."""

    WAIT = "wait"
    START = "start"
    STOP = "stop"
    RESET_SCENE = "reset_scene"


@dataclass(frozen=True, slots=True)
class Seen:
    """The session's status and the referee's word, as the bridge shows them."""

    status: str
    message: str = ""
    is_estopped: bool = False
    is_paused: bool = False
    episode: int = 0
    is_over: bool = False
    is_success: bool = False


class EpisodeLoop:
    """Counts episodes that ran to their end, and says which verb comes next."""

    def __init__(self, *, retry_after_s: float = RETRY_AFTER_S) -> None:
        self.episodes = 0
        self.successes = 0
        self.interruptions = 0
        self.waiting_for = ""
        """Why it waits for a person; empty while it does not."""
        self._retry_after_s = retry_after_s
        self._retry_at_s: float | None = None
        self._is_ours = True  # whatever is not running is so by our own doing
        self._is_a_persons = False
        self._left_episode: int | None = None

    def next(self, seen: Seen, now_s: float) -> Step:
        """The next verb. Tell `answered` when it had its effect, then call again."""
        if self._left_episode is not None and (not seen.is_over or seen.episode != self._left_episode):
            self._left_episode = None
        is_over = seen.is_over and self._left_episode is None
        if seen.is_paused:
            return self._wait("somebody paused the arm: `arena resume`, or Resume on the page, goes on")
        if seen.status == RUNNING:
            return self._while_running(seen, is_over)
        if seen.is_estopped:
            return self._wait("the e-stop is latched: reset it, then start the session")
        if seen.status == INITIALIZING:
            return Step.WAIT
        if not self._is_ours:
            return self._after_an_interruption(seen, now_s)
        return Step.RESET_SCENE if is_over else Step.START

    def answered(self, step: Step, seen: Seen) -> None:
        """A verb had its effect. What the referee said before a new scene may still arrive after it."""
        if step is Step.STOP:
            self._is_ours = True
        elif step is Step.RESET_SCENE:
            self._left_episode = seen.episode
            self._is_a_persons = False

    def _while_running(self, seen: Seen, is_over: bool) -> Step:
        self._is_ours, self._retry_at_s, self.waiting_for = False, None, ""
        if not is_over:
            return Step.WAIT
        if not self._is_a_persons:  # an episode somebody interrupted is nobody's result; a failure is ours
            self.episodes += 1
            self.successes += seen.is_success
        self._is_a_persons = False
        return Step.STOP

    def _after_an_interruption(self, seen: Seen, now_s: float) -> Step:
        """Stopped, but not by us: a failure says why, a person does not."""
        is_failure = seen.status in {ERROR, READY} or (seen.message and not _BY_A_PERSON.search(seen.message))
        if not is_failure:
            return self._wait(
                "somebody stopped the session: start it on the page or by `arena session start`"
            )
        if self.waiting_for:
            return Step.WAIT
        if self._retry_at_s is None:
            self.interruptions += 1
            self._retry_at_s = now_s + self._retry_after_s
        if now_s < self._retry_at_s:
            return Step.WAIT
        self._retry_at_s = now_s + self._retry_after_s
        return Step.START

    def _wait(self, reason: str) -> Step:
        self.waiting_for = reason
        self._is_ours, self._is_a_persons = False, True
        return Step.WAIT
