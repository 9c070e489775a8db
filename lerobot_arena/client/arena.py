# SPDX-License-Identifier: Apache-2.0
"""An arena's bridge as an object: `Arena` blocks, `AsyncArena` is awaited. They have the same names.

::

    with Arena() as arena:
        arena.sessions.create("pick", "demo", robot="arm")
        arena.sessions.start("pick")          # the arm moves
        for item in arena.telemetry.live(): ...

Every method raises an ArenaError (core/errors.py) with a sentence for a person and a `code` for programs.
"""

from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lerobot_arena.client import accounts, credentials
from lerobot_arena.client.accounts import Auth, Tokens, Users
from lerobot_arena.client.address import bridge_url
from lerobot_arena.client.answers import Login
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.control import Boundaries, Control, Tasks, estop
from lerobot_arena.client.endpoint import Group, endpoint
from lerobot_arena.client.files import (
    AsyncLeaderboard,
    AsyncRecordings,
    AsyncRiskLog,
    Leaderboard,
    Recordings,
    RiskLog,
)
from lerobot_arena.client.matchups import Matchups
from lerobot_arena.client.publishing import Catalog, Publish
from lerobot_arena.client.records import Recorder
from lerobot_arena.client.rooms import RoboticsRooms, VideoRooms
from lerobot_arena.client.sessions import Arms, Debug, Sessions, get_session, health
from lerobot_arena.client.transport import AwaitingTransport, BlockingTransport

if TYPE_CHECKING:
    from lerobot_arena.client.blocking import BlockingJointRoom, BlockingPictureRoom, BlockingRobotLink
    from lerobot_arena.client.joint_room import JointRoom
    from lerobot_arena.client.loop_thread import LoopThread
    from lerobot_arena.client.picture_room import PictureRoom
    from lerobot_arena.client.robot_link import RobotLink
    from lerobot_arena.client.telemetry import AsyncTelemetry, Telemetry


def _connection(url: str | None, token: str | None, ca_file: str) -> Connection:
    base = bridge_url(url)
    return Connection(base, token if token is not None else credentials.token_for(base), ca_file)


class Surfaces[Via](Group[Via]):
    """The calls that both kinds have."""

    def __init__(self, via: Via) -> None:
        super().__init__(via)
        self.sessions = Sessions(via)
        self.arms = Arms(via)
        self.control = Control(via)
        self.boundaries = Boundaries(via)
        self.tasks = Tasks(via)
        self.recorder = Recorder(via)
        self.robotics = RoboticsRooms(via)
        self.video = VideoRooms(via)
        self.auth = Auth(via)
        self.tokens = Tokens(via)
        self.users = Users(via)
        self.debug = Debug(via)
        self.publish = Publish(via)
        self.catalog = Catalog(via)
        self.matchups = Matchups(via)

    health = endpoint(health)
    estop = endpoint(estop)


class Arena(Surfaces[BlockingTransport]):
    """One bridge. Safe on any thread; close it, or use it in a `with`.

    `url`: else ARENA_URL, else this machine. `token`: else ARENA_TOKEN, else what `arena login` stored for that URL; ""
    for none. `ca_file`: who signed the bridge's certificate, when the system does not know.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, ca_file: str = "") -> None:
        super().__init__(BlockingTransport(_connection(url, token, ca_file)))
        self.risk = RiskLog(self._via)
        self.recordings = Recordings(self._via)
        self.leaderboard = Leaderboard(self._via)

    @property
    def url(self) -> str:
        """The bridge's base URL."""
        return self._via.connection.url

    @cached_property
    def telemetry(self) -> "Telemetry":
        """What the guard does, cycle by cycle."""
        from lerobot_arena.client.telemetry import Telemetry

        return Telemetry(self._via, lambda: self._thread)

    @cached_property
    def _thread(self) -> "LoopThread":
        from lerobot_arena.client.loop_thread import LoopThread

        return LoopThread()

    def join_robotics(
        self,
        workspace_id: str,
        room_id: str,
        *,
        role: str = "consumer",
        participant_id: str | None = None,
        max_age_s: float = 0.5,
    ) -> "BlockingJointRoom":
        """A room for joints, to be opened by a `with`. `max_age_s`: older values are dropped, not handed out."""
        from lerobot_arena.client.blocking import BlockingJointRoom
        from lerobot_arena.client.joint_room import joint_room

        return BlockingJointRoom(
            self._thread,
            lambda: joint_room(
                self._via.connection,
                workspace_id,
                room_id,
                role=role,
                participant_id=participant_id,
                max_age_s=max_age_s,
            ),
        )

    def join_video(
        self,
        workspace_id: str,
        room_id: str,
        *,
        role: str = "consumer",
        participant_id: str | None = None,
        stand_ins: bool = False,
    ) -> "BlockingPictureRoom":
        """A room for JPEGs, to be opened by a `with`.

        `stand_ins`: also pictures that the server shows to people while the camera's are missing.
        """
        from lerobot_arena.client.blocking import BlockingPictureRoom
        from lerobot_arena.client.picture_room import picture_room

        to = self._via.connection
        return BlockingPictureRoom(
            self._thread,
            lambda: picture_room(
                to, workspace_id, room_id, role=role, participant_id=participant_id, stand_ins=stand_ins
            ),
        )

    def robot_link(
        self,
        session_id: str,
        *,
        max_age_s: float = 0.25,
        cameras: Sequence[str] | None = None,
        participant_id: str | None = None,
    ) -> "BlockingRobotLink":
        """A robot's side of a session whose joints come from clients, to be opened by a `with`. `cameras` None: all."""
        from asyncio import to_thread

        from lerobot_arena.client.blocking import BlockingRobotLink
        from lerobot_arena.client.robot_link import RobotLink

        return BlockingRobotLink(
            self._thread,
            lambda: RobotLink(
                lambda: to_thread(self._via.send, get_session(session_id)),
                self._via.connection,
                max_age_s=max_age_s,
                cameras=cameras,
                participant_id=participant_id,
            ),
        )

    def login(self, username: str, password: str) -> Login:
        """Log in; from then on this object asks with that login."""
        found = self._via.send(accounts.log_in(username, password))
        self._via.connection.token = found["access_token"]
        return found

    def logout(self) -> None:
        """End the login, and forget it."""
        self._via.send(accounts.log_out())
        self._via.connection.token = ""

    def close(self) -> None:
        """Let go of connections and threads."""
        if "_thread" in self.__dict__:
            self._thread.close()
        self._via.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncArena(Surfaces[AwaitingTransport]):
    """One bridge, for one event loop; close it, or use it in an `async with`. Arguments as Arena's."""

    def __init__(self, url: str | None = None, token: str | None = None, *, ca_file: str = "") -> None:
        super().__init__(AwaitingTransport(_connection(url, token, ca_file)))
        self.risk = AsyncRiskLog(self._via)
        self.recordings = AsyncRecordings(self._via)
        self.leaderboard = AsyncLeaderboard(self._via)

    @property
    def url(self) -> str:
        """The bridge's base URL."""
        return self._via.connection.url

    @cached_property
    def telemetry(self) -> "AsyncTelemetry":
        """What the guard does, cycle by cycle."""
        from lerobot_arena.client.telemetry import AsyncTelemetry

        return AsyncTelemetry(self._via)

    def join_robotics(
        self,
        workspace_id: str,
        room_id: str,
        *,
        role: str = "consumer",
        participant_id: str | None = None,
        max_age_s: float = 0.5,
    ) -> "JointRoom":
        """A room for joints, to be opened by an `async with`. `max_age_s`: older values are dropped, not handed out."""
        from lerobot_arena.client.joint_room import joint_room

        return joint_room(
            self._via.connection,
            workspace_id,
            room_id,
            role=role,
            participant_id=participant_id,
            max_age_s=max_age_s,
        )

    def join_video(
        self,
        workspace_id: str,
        room_id: str,
        *,
        role: str = "consumer",
        participant_id: str | None = None,
        stand_ins: bool = False,
    ) -> "PictureRoom":
        """A room for JPEGs, to be opened by an `async with`.

        `stand_ins`: also pictures that the server shows to people while the camera's are missing.
        """
        from lerobot_arena.client.picture_room import picture_room

        return picture_room(
            self._via.connection,
            workspace_id,
            room_id,
            role=role,
            participant_id=participant_id,
            stand_ins=stand_ins,
        )

    def robot_link(
        self,
        session_id: str,
        *,
        max_age_s: float = 0.25,
        cameras: Sequence[str] | None = None,
        participant_id: str | None = None,
    ) -> "RobotLink":
        """A robot's side of a session whose joints come from clients; for `async with`. `cameras` None: all."""
        from lerobot_arena.client.robot_link import RobotLink

        return RobotLink(
            lambda: self._via.send(get_session(session_id)),
            self._via.connection,
            max_age_s=max_age_s,
            cameras=cameras,
            participant_id=participant_id,
        )

    async def login(self, username: str, password: str) -> Login:
        """Log in; from then on this object asks with that login."""
        found = await self._via.send(accounts.log_in(username, password))
        self._via.connection.token = found["access_token"]
        return found

    async def logout(self) -> None:
        """End the login, and forget it."""
        await self._via.send(accounts.log_out())
        self._via.connection.token = ""

    async def close(self) -> None:
        """Let go of connections."""
        await self._via.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
