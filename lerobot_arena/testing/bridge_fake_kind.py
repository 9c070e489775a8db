# SPDX-License-Identifier: Apache-2.0
"""A second kind of session, as teleoperation will be one: it can be ended, and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.bridge.session_kinds import ListedSession, Verb
from lerobot_arena.core.errors import NotFound


@dataclass
class FakeTeleop:
    """A SessionSource. `owners` has an owner by session id."""

    owners: dict[str, str] = field(default_factory=dict)
    kind: str = "teleop"

    def ids(self) -> Iterable[str]:
        """Of every session, oldest first."""
        return list(self.owners)

    def look(self, session_id: str) -> ListedSession:
        """One session now. Raises NotFound."""
        if session_id not in self.owners:
            raise NotFound(f"Session {session_id} not found")
        fields: dict[str, Any] = {
            "session_id": session_id,
            "status": "running",
            "policy_path": "",
            "camera_names": [],
            "workspace_id": "w",
            "rooms": {},
            "stats": {},
        }
        return ListedSession(session_id, self.owners[session_id], fields)

    def refusal(self, verb: Verb) -> str:
        """A person drives: there is nothing to start, and nothing that waits."""
        return "" if verb in {"stop", "delete"} else f"a person drives, so there is nothing to {verb}."

    async def do(self, verb: Verb, session_id: str) -> dict[str, Any]:
        """End it."""
        del self.owners[session_id]
        return {}
