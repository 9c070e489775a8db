# SPDX-License-Identifier: Apache-2.0
"""An arena's bridge as an object: `Arena` blocks, `AsyncArena` is awaited. They have the same names.

::

    with Arena() as arena:
        arena.sessions.create("pick", "demo", robot="arm")
        arena.sessions.start("pick")          # the arm moves
        for item in arena.telemetry.live(): ...

Every method raises an ArenaError (core/errors.py) with a sentence for a person and a `code` for programs.
"""

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
from lerobot_arena.client.files import AsyncRecordings, AsyncRiskLog, Recordings, RiskLog
from lerobot_arena.client.records import Recorder
from lerobot_arena.client.rooms import RoboticsRooms, VideoRooms
from lerobot_arena.client.sessions import Arms, Debug, Sessions, health
from lerobot_arena.client.transport import AwaitingTransport, BlockingTransport

if TYPE_CHECKING:
    from lerobot_arena.client.loop_thread import LoopThread
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

    @property
    def url(self) -> str:
        """The bridge's base URL."""
        return self._via.connection.url

    @cached_property
    def telemetry(self) -> "AsyncTelemetry":
        """What the guard does, cycle by cycle."""
        from lerobot_arena.client.telemetry import AsyncTelemetry

        return AsyncTelemetry(self._via)

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
