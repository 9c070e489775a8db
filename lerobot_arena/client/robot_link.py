# SPDX-License-Identifier: Apache-2.0
"""A robot on another machine: its joints and pictures go into a session's rooms, executed commands come out.

**Hold is silence.** When nothing fresh comes — the link is down, the session stopped, the e-stop is latched — there is
no command: `command()` is None and `commands()` waits. The robot then keeps its last target. Nothing in here moves
anything by itself, repeats a command, or makes one up.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from lerobot_arena.client import wire
from lerobot_arena.client.answers import Session
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.joint_room import STOP_TIMEOUT_S, JointRoom, Update, joint_room
from lerobot_arena.client.picture_room import PictureRoom, check_jpeg, picture_room
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput

DEFAULT_MAX_AGE_S = 0.25


class RobotLink:
    """Made by `AsyncArena.robot_link`; use it in an `async with`."""

    def __init__(
        self,
        find_session: Callable[[], Any],
        connection: Connection,
        *,
        max_age_s: float,
        cameras: Iterable[str] | None,
        participant_id: str | None,
    ) -> None:
        self._find_session, self._connection = find_session, connection
        self._max_age_s, self._wanted = max_age_s, list(cameras) if cameras is not None else None
        self._participant_id = participant_id
        self.on_estop: Callable[[str, str], object] | None = None
        self.on_change: Callable[[bool, str], object] | None = None
        self.session: Session | None = None
        self._joints: JointRoom | None = None
        self._commands: JointRoom | None = None
        self._cameras: dict[str, PictureRoom] = {}
        self._was_live = False

    @property
    def is_live(self) -> bool:
        """Joints go out and commands come in, as of the last seconds. Cameras are not asked."""
        rooms = (self._joints, self._commands)
        return all(room is not None and room.is_live for room in rooms)

    @property
    def estop_latched(self) -> bool:
        """No command comes while it is."""
        return any(room is not None and room.estop_latched for room in (self._joints, self._commands))

    @property
    def failure(self) -> ArenaError | None:
        """Why the link has ended for good; None while it stands or may come back."""
        rooms = (self._joints, self._commands)
        return next((room.link.failure for room in rooms if room is not None and room.link.failure), None)

    @property
    def cameras(self) -> list[str]:
        """Names that `send` takes pictures for."""
        return list(self._cameras)

    @property
    def counters(self) -> dict[str, Mapping[str, int]]:
        """Of each room."""
        rooms: dict[str, JointRoom | PictureRoom | None] = {
            "joints": self._joints,
            "commands": self._commands,
            **self._cameras,
        }
        return {name: Counter(room.counters) for name, room in rooms.items() if room is not None}

    async def open(self) -> Self:
        """Join the session's rooms. Raises NotFound for no session, Conflict for one whose arm is at the bridge."""
        session: Session = await self._find_session()
        rooms = session["rooms"]
        if not session["arm"].startswith("virtual/"):
            raise Conflict(
                f"Session {session['session_id']} drives arm {session['arm']!r} at the bridge. A session for a robot "
                "elsewhere is made without `robot`."
            )
        known = rooms["camera_room_ids"]
        wanted = self._wanted if self._wanted is not None else list(known)
        if unknown := [name for name in wanted if name not in known]:
            raise InvalidInput(
                f"The session has no camera {unknown[0]!r}. It has: {', '.join(known) or 'none'}."
            )
        self.session = session
        workspace = rooms["workspace_id"]
        self._joints = self._joint_room(workspace, rooms["joint_input_room_id"], wire.PRODUCER)
        self._commands = self._joint_room(workspace, rooms["joint_output_room_id"], wire.CONSUMER)
        self._commands.on_estop = self._stopped
        self._cameras = {name: self._camera(workspace, known[name]) for name in wanted}
        members: list[JointRoom | PictureRoom] = [self._joints, self._commands, *self._cameras.values()]
        try:
            for room in members:
                await room.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Leave all rooms."""
        rooms = [room for room in (self._joints, self._commands, *self._cameras.values()) if room is not None]
        await asyncio.gather(*(room.close() for room in rooms))

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def send(
        self,
        joints: Mapping[str, float],
        frames: Mapping[str, bytes] | None = None,
        stamp_ns: int | None = None,
    ) -> bool:
        """Say what the robot measures, and its cameras' JPEGs; never waits. False when a part did not go out.

        `stamp_ns` is when it was measured, by `time.monotonic_ns()`. Raises InvalidInput for what is not finite, no
        JPEG, or an unknown camera; then nothing is sent.
        """
        room = self._open_room(self._joints)
        for name, jpeg in (frames or {}).items():
            if name not in self._cameras:
                raise InvalidInput(
                    f"There is no camera {name!r}. Known: {', '.join(self._cameras) or 'none'}."
                )
            check_jpeg(jpeg)
        done = [room.send_joints(joints, stamp_ns)]
        done += [self._cameras[name].send_frame(jpeg, stamp_ns) for name, jpeg in (frames or {}).items()]
        return all(done)

    def command(self) -> Update | None:
        """The newest executed command that is still fresh. None: hold, that is, send the robot nothing new."""
        room = self._open_room(self._commands)
        return room.newest() if self.is_live and not self.estop_latched else None

    async def commands(self) -> AsyncIterator[Update]:
        """Each new command while it is fresh; waits while there is none. Raises when the session is gone for good."""
        room = self._open_room(self._commands)
        async for update in room:
            if self.is_live and not self.estop_latched:
                yield update

    async def emergency_stop(self, reason: str = "Emergency stop", timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the session's arm for everybody. Raises NotAnswering when nobody confirmed it."""
        await self._open_room(self._commands).emergency_stop(reason, timeout_s)

    def _joint_room(self, workspace: str, room_id: str, role: str) -> JointRoom:
        room = joint_room(
            self._connection,
            workspace,
            room_id,
            role=role,
            participant_id=self._participant_id,
            max_age_s=self._max_age_s,
        )
        room.on_change = self._changed
        return room

    def _camera(self, workspace: str, room_id: str) -> PictureRoom:
        return picture_room(
            self._connection,
            workspace,
            room_id,
            role=wire.PRODUCER,
            participant_id=self._participant_id,
        )

    @staticmethod
    def _open_room(room: JointRoom | None) -> JointRoom:
        if room is None:
            raise Conflict("The link is not open: use it in a `with`.")
        return room

    def _stopped(self, reason: str, source: str) -> None:
        if self.on_estop is not None:
            self.on_estop(reason, source)

    def _changed(self, _is_up: bool, reason: str) -> None:
        """One word for both rooms: up when both are."""
        rooms = (self._joints, self._commands)
        is_up = all(room is not None and room.link.is_joined for room in rooms)
        if is_up != self._was_live:
            self._was_live = is_up
            if self.on_change is not None:
                self.on_change(is_up, reason)
