# SPDX-License-Identifier: Apache-2.0
"""The recorders of a FakeArms."""

from lerobot_arena.bridge.ports import VerbAnswer
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.recording.status import IDLE, RECORDING, RecorderStatus

SESSION_ID = "sess_20261122_010203_abcdef"
PREFIX = "record_"


class FakeRecorders:
    """One per arm; `dead` ones do not answer."""

    def __init__(self) -> None:
        self.dead: set[str] = set()
        self.recordings: dict[str, str] = {}

    def answer(self, arm: str, verb: str) -> VerbAnswer:
        """What the arm's recorder answers to one of its verbs."""
        if arm in self.dead:
            raise Unavailable(f"Nobody answers /{arm}/recorder/{verb}: is that process running?")
        recording = self.recordings.get(arm, "")
        if verb == "status":
            state = RECORDING if recording else IDLE
            return VerbAnswer(True, RecorderStatus(arm, "boot", state, session_id=recording).as_json())
        if bool(recording) == (verb == "start"):
            return VerbAnswer(False, "Recording already." if recording else "Nothing is being recorded.")
        if verb == "start":
            self.recordings[arm] = SESSION_ID
        elif verb == "stop":
            del self.recordings[arm]
        return VerbAnswer(True, SESSION_ID)
