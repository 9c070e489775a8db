# SPDX-License-Identifier: Apache-2.0
"""From a POST to a wanted session: everything is checked before anything is written."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.models import CreateSessionRequest
from lerobot_arena.bridge.policy_source import PolicySources, ResolvedPolicy
from lerobot_arena.bridge.session_book import BookedSession, SessionBook
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.store import SessionRecord
from lerobot_arena.core import topics
from lerobot_arena.core.chunk import MAX_JOINTS
from lerobot_arena.core.errors import Conflict, Forbidden, InvalidInput
from lerobot_arena.core.ids import MAX_TOPIC_LENGTH, check_arm, check_id
from lerobot_arena.core.principal import LOCAL_NAME, Principal
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import EmbodimentStatus, SessionWanted
from lerobot_arena.core.units import check_unit

MAX_CAMERAS = 16
# An arm may be named right after its processes were started.
_ARM_WAIT_S = 5.0
_JOINT_ROOM_NAMES = {"joint-input", "joint-output"}


Inspect = Callable[[SessionWanted, EmbodimentStatus | None], Mapping[str, Any]]


class SessionMaker:
    """Checks a request, resolves and inspects its policy, and books the session."""

    def __init__(
        self,
        book: SessionBook,
        board: Board,
        sources: PolicySources,
        settings: Settings,
        *,
        inspect: Inspect | None = None,
        is_taken: Callable[[str], bool] | None = None,
    ) -> None:
        """`is_taken`: ids that sessions of any kind have; without it, those in the book."""
        self._book, self._board, self._sources, self._settings = book, board, sources, settings
        self._is_taken = is_taken or book.__contains__
        self._inspect = inspect or partial(inspect_checkpoint, robots=settings.data_dir / "robots")

    async def create(self, request: CreateSessionRequest, owner: str = LOCAL_NAME) -> BookedSession:
        """Book a new session for `owner`.

        Raises InvalidInput, PolicyError, Conflict or Unavailable, and then leaves nothing.
        """
        session_id = check_id(request.session_id, "session_id")
        if self._is_taken(session_id):
            raise Conflict(f"Session {session_id} already exists")
        self._check_arena(request)
        embodiment = await self._embodiment(request.robot) if request.robot is not None else None
        unresolved = wanted_from(request, embodiment)
        policy = await asyncio.to_thread(self._sources.resolve, request.policy_path)
        wanted = _with_policy(unresolved, policy)
        manifest = await asyncio.to_thread(self._inspect, wanted, embodiment)
        return await self._book.add(
            SessionRecord(
                wanted, request.policy_path, request.arena_server_url, manifest=manifest, owner=owner
            )
        )

    def check_caller(self, request: CreateSessionRequest, caller: Principal) -> None:
        """Raises Forbidden: rooms elsewhere are made and joined with the login of this server's operator there."""
        if not caller.sees_all and self._settings.remote_arena(request.arena_server_url) is not None:
            raise Forbidden(
                "Rooms on another arena are joined with this server's own login there, so only its admins and whoever "
                "sits at it make such sessions. Leave arena_server_url out for rooms here."
            )

    def _check_arena(self, request: CreateSessionRequest) -> None:
        remote = self._settings.remote_arena(request.arena_server_url)
        if remote is not None and request.robot is not None:
            raise InvalidInput(
                f"Arm {request.robot!r} is on this machine, so its rooms are here: leave arena_server_url out. Others "
                "join them from there."
            )

    async def _embodiment(self, arm: str) -> EmbodimentStatus:
        check_arm(arm)

        def reported() -> EmbodimentStatus | None:
            seen = self._board.facts(arm).embodiment
            return seen.value if seen is not None else None

        found = await self._board.wait_for(reported, _ARM_WAIT_S)
        if found is None:
            known = [name for name, facts in self._board.arms.items() if facts.embodiment is not None]
            raise InvalidInput(
                f"There is no arm {arm!r}. Arms here: {', '.join(sorted(known)) or 'none'}. Leave robot out to drive "
                "a virtual arm through the session's rooms."
            )
        return found


def wanted_from(request: CreateSessionRequest, embodiment: EmbodimentStatus | None) -> SessionWanted:
    """The wanted session without its policy. Raises InvalidInput naming the field that is wrong."""
    session_id, cameras = request.session_id, tuple(request.camera_names)
    _check_cameras(cameras, embodiment)
    workspace_id = str(uuid.uuid4()) if request.workspace_id is None else request.workspace_id
    check_id(workspace_id, "workspace_id")
    if request.unit is not None:
        check_unit(request.unit)
    rooms = {name: topics.room(workspace_id, topics.camera_room(session_id, name)) for name in cameras}
    is_virtual = request.robot is None
    arm = topics.virtual_arm(session_id) if request.robot is None else request.robot
    longest = topics.on_arm(arm, max((*topics.GUARD_VERBS.values(), topics.EMERGENCY_STOP), key=len))
    if len(longest) > MAX_TOPIC_LENGTH:
        raise InvalidInput(
            f"session_id {session_id!r} makes a topic of {len(longest)} characters; shorten it."
        )
    joint_room = topics.room(workspace_id, topics.joint_input_room(session_id))
    return SessionWanted(
        session_id=session_id,
        arm=arm,
        policy_path="",
        is_virtual=is_virtual,
        workspace_id=workspace_id,
        policy_type=request.policy_type or "",
        camera_names=cameras,
        camera_topics=tuple(rooms[name] if is_virtual else topics.camera(arm, name) for name in cameras),
        joint_input_topic=joint_room if is_virtual else topics.on_arm(arm, topics.JOINT_STATES),
        joint_output_topic=topics.room(workspace_id, topics.joint_output_room(session_id)),
        unit=request.unit or "",
        rate_hz=request.rate_hz or 0.0,
        joint_names=_joint_names(request.joint_names or []),
        language_instruction=request.language_instruction or "",
    )


def _check_cameras(cameras: tuple[str, ...], embodiment: EmbodimentStatus | None) -> None:
    if len(cameras) > MAX_CAMERAS:
        raise InvalidInput(f"camera_names has {len(cameras)} entries; at most {MAX_CAMERAS}.")
    for name in cameras:
        check_id(name, "A camera name")
        if name in _JOINT_ROOM_NAMES:
            raise InvalidInput(f"Camera name {name!r} is taken by the session's joint rooms; choose another.")
    if len(set(cameras)) != len(cameras):
        raise InvalidInput(f"camera_names names a camera twice: {', '.join(cameras)}.")
    missing = [] if embodiment is None else [name for name in cameras if name not in embodiment.camera_names]
    if embodiment is not None and missing:
        raise InvalidInput(
            f"Arm {embodiment.arm!r} has no camera {', '.join(map(repr, missing))}. "
            f"It has: {', '.join(embodiment.camera_names) or 'none'}."
        )


def _joint_names(names: list[str]) -> tuple[str, ...]:
    if len(names) > MAX_JOINTS or len(set(names)) != len(names):
        raise InvalidInput(f"joint_names must be at most {MAX_JOINTS} different names.")
    return tuple(check_id(name, "A joint name") for name in names)


def _with_policy(wanted: SessionWanted, policy: ResolvedPolicy) -> SessionWanted:
    return replace(
        wanted,
        policy_path=policy.path,
        revision=policy.revision,
        policy_type=wanted.policy_type or policy.policy_type,
    )


def inspect_checkpoint(
    wanted: SessionWanted, embodiment: EmbodimentStatus | None, *, robots: Path
) -> dict[str, Any]:
    """What the checkpoint says of itself, checked against the session and the robot. Blocking.

    `robots` is where `arena robot add` writes; a name that is not there is a shipped robot's.
    """
    from lerobot_arena.inference.inspect import inspect_policy

    robot = None
    if embodiment is not None and embodiment.robot:
        added = robots / f"{embodiment.robot}.yaml"
        robot = load_robot(added if added.is_file() else embodiment.robot)
    return asdict(inspect_policy(wanted.policy_path, wanted=wanted, robot=robot))
