# SPDX-License-Identifier: Apache-2.0
"""Runs `native.robot.lowcmd` deployments: an instance is a session of a published checkpoint on an arm of this machine.

The session stands behind the guard like any other. It is made and deleted as instances come and go; it moves the arm
when a request says `start`, and never because an instance woke.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.creation import MAX_CAMERAS, SessionMaker
from lerobot_arena.bridge.models import CreateSessionRequest
from lerobot_arena.bridge.session_book import SessionBook
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.sight import is_virtual
from lerobot_arena.bridge.verbs import SessionVerbs
from lerobot_arena.core.errors import Conflict, InvalidInput, Unavailable
from lerobot_arena.platform.deployments.deployment import ROBOT, Deployment

STATUS = "status"
ACTIONS = (STATUS, "start", "stop", "pause", "resume")


class RobotInstance:
    """One session. `at_once`: a stop does not wait for a start that still waits for its policy."""

    at_once = 16

    def __init__(self, session_id: str, book: SessionBook, verbs: SessionVerbs, settings: Settings) -> None:
        self._id, self._book, self._verbs, self._settings = session_id, book, verbs, settings

    @property
    def is_alive(self) -> bool:
        """The session exists."""
        return self._id in self._book

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do an action, `status` when none is named, and tell how the session is then.

        Raises InvalidInput for another request, and what SessionVerbs raises.
        """
        action = request.get("action", STATUS)
        if set(request) - {"action"} or action not in ACTIONS:
            raise InvalidInput(f'Send {{"action": …}} with one of {", ".join(ACTIONS)}.')
        if action != STATUS:
            await getattr(self._verbs, action)(self._id)
        session = self._book.get(self._id)
        view = self._book.view(session, input_timeout_s=self._settings.input_timeout_s)
        return {
            "session_id": self._id,
            "arm": session.wanted.arm,
            "policy_path": session.record.policy_reference,
            "status": view.status,
            "error_message": view.error_message,
        }

    async def stop(self) -> None:
        """Stop and delete the session. Raises what says that its guard does not stop; it stays in the list then."""
        if self.is_alive:
            await self._verbs.delete(self._id)


class RobotRuntime:
    """Makes sessions through the same door as `POST /sessions`; a session has its deployment's id and owner."""

    def __init__(
        self,
        maker: SessionMaker,
        book: SessionBook,
        board: Board,
        verbs: SessionVerbs,
        settings: Settings,
        *,
        policy_path: Callable[[str], str] = "catalog:{}".format,
    ) -> None:
        """`policy_path`: of a reference to a published checkpoint."""
        self._maker, self._book, self._board, self._verbs = maker, book, board, verbs
        self._settings, self._policy_path = settings, policy_path

    def missing(self) -> str:
        """Nothing: whether there is an arm shows when an instance is wanted."""
        return ""

    async def start(self, deployment: Deployment) -> RobotInstance:
        """A session that does not move. Raises an ArenaError that says why there is none."""
        arm = self._arm(deployment)
        await self._clear(deployment)
        seen = self._board.facts(arm).embodiment
        request = CreateSessionRequest.model_validate(
            {
                "session_id": deployment.id,
                "policy_path": self._policy_path(deployment.policy),
                "robot": arm,
                "camera_names": list(seen.value.camera_names)[:MAX_CAMERAS] if seen is not None else [],
                "language_instruction": deployment.title,
            }
        )
        await self._maker.create(request, deployment.owner)
        return RobotInstance(deployment.id, self._book, self._verbs, self._settings)

    async def sweep(self, deployments: Iterable[Deployment]) -> None:
        """Forget the sessions of instances that a bridge before this one had. Call it before anything is started."""
        owners = {one.id: one.owner for one in deployments if one.kind == ROBOT}
        for session in self._book.all():
            if owners.get(session.wanted.session_id) == session.record.owner:
                await self._book.remove(session)

    def _arm(self, deployment: Deployment) -> str:
        arms = [name for name in sorted(self._board.arms) if not is_virtual(name)]
        named = deployment.hardware
        if named and named not in arms:
            raise InvalidInput(f"hardwareSku {named!r} is no arm here. Arms: {', '.join(arms) or 'none'}.")
        if not named and not arms:
            raise Unavailable("No arm reports: start its processes (arena up).")
        if not named and len(arms) > 1:
            raise InvalidInput(f"There are several arms: name one of {', '.join(arms)} in hardwareSku.")
        return named or arms[0]

    async def _clear(self, deployment: Deployment) -> None:
        """An instance before this one that could not be stopped."""
        if deployment.id not in self._book:
            return
        if self._book.get(deployment.id).record.owner != deployment.owner:
            raise Conflict(f"Somebody else has a session {deployment.id}.")
        await self._verbs.delete(deployment.id)
