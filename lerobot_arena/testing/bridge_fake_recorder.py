# SPDX-License-Identifier: Apache-2.0
"""The recorders of a FakeArms."""

from lerobot_arena.bridge.ports import VerbAnswer
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.recording.status import IDLE, RECORDING, EventLog, RecorderStatus

SESSION_ID = "sess_20261122_010203_abcdef"
PREFIX = "record_"


class FakeRecorders:
    """One per arm; `dead` ones do not answer. Each `boots` entry is a process that has something to tell."""

    def __init__(self) -> None:
        self.dead: set[str] = set()
        self.recordings: dict[str, str] = {}
        self.boots: dict[str, str] = {}
        self._events: dict[str, EventLog] = {}
        self._made = 0

    def say(self, arm: str, level: int, text: str, *, at_unix: float = 0.0, boot_id: str = "boot") -> None:
        """Something happened to the arm's recorder; another `boot_id` is another process, which begins anew."""
        if self.boots.get(arm) != boot_id:
            self.boots[arm], self._events[arm] = boot_id, EventLog()
        self._events[arm].add(at_unix, level, self.recordings.get(arm, ""), text)

    def statuses(self) -> dict[str, str]:
        """What each that has something to tell publishes."""
        return {arm: self._status(arm) for arm in self.boots}

    def _status(self, arm: str) -> str:
        recording = self.recordings.get(arm, "")
        events = self._events[arm].all() if arm in self._events else ()
        boot_id, state = self.boots.get(arm, "boot"), RECORDING if recording else IDLE
        return RecorderStatus(arm, boot_id, state, session_id=recording, events=events).as_json()

    def answer(self, arm: str, verb: str) -> VerbAnswer:
        """What the arm's recorder answers to one of its verbs."""
        if arm in self.dead:
            raise Unavailable(f"Nobody answers /{arm}/recorder/{verb}: is that process running?")
        recording = self.recordings.get(arm, "")
        if verb == "status":
            return VerbAnswer(True, self._status(arm))
        if bool(recording) == (verb == "start"):
            return VerbAnswer(False, "Recording already." if recording else "Nothing is being recorded.")
        if verb == "start":
            self._made += 1
            self.recordings[arm] = SESSION_ID if self._made == 1 else f"{SESSION_ID}_{self._made}"
            recording = self.recordings[arm]
        elif verb == "stop":
            del self.recordings[arm]
        return VerbAnswer(True, recording or SESSION_ID)
