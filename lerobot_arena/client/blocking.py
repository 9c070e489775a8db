# SPDX-License-Identifier: Apache-2.0
"""Rooms and robot links for programs without asyncio: the same names, the network in a thread of its own.

Callbacks run in that thread, and may call only what never waits.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from lerobot_arena.client.answers import Session
from lerobot_arena.client.joint_room import STOP_TIMEOUT_S, JointRoom, Update
from lerobot_arena.client.loop_thread import LoopThread
from lerobot_arena.client.picture_room import PictureRoom
from lerobot_arena.client.robot_link import RobotLink
from lerobot_arena.client.wire import RoomFrame
from lerobot_arena.core.errors import ArenaError

_CLOSE_S = 5.0
_OPEN_S = 30.0
_SEND_S = 5.0
_MARGIN_S = 5.0


class _Link(Protocol):
    async def open(self) -> Any: ...

    async def close(self) -> None: ...

    async def emergency_stop(self, reason: str, timeout_s: float) -> None: ...

    @property
    def is_live(self) -> bool: ...

    @property
    def estop_latched(self) -> bool: ...


class Blocked[T: _Link]:
    """`on_…` callbacks are set on `awaited` before it is opened."""

    def __init__(self, thread: LoopThread, make: Callable[[], T]) -> None:
        self._thread = thread
        self.awaited = thread.run(_made(make))

    @property
    def is_live(self) -> bool:
        """Joined, and the server was heard of within the last seconds."""
        return self.awaited.is_live

    @property
    def estop_latched(self) -> bool:
        """While it is, no joint values are handed out and none are taken."""
        return self.awaited.estop_latched

    def open(self) -> Self:
        """Join. Raises what is refused, or that nobody answers."""
        self._thread.run(self.awaited.open(), _OPEN_S)
        return self

    def close(self) -> None:
        """Leave."""
        self._thread.run(self.awaited.close(), _CLOSE_S)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def emergency_stop(self, reason: str = "Emergency stop", timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop; it is so when this returns. Raises NotAnswering when nobody confirmed it."""
        self._thread.run(self.awaited.emergency_stop(reason, timeout_s), timeout_s + _MARGIN_S)

    def _now[V](self, do: Callable[[], V]) -> V:
        """Done on the loop, which is never busy for long."""
        return self._thread.run(_made(do), _SEND_S)

    def _wait[V](self, work: Coroutine[Any, Any, V], timeout_s: float | None) -> V:
        return self._thread.run(work, None if timeout_s is None else timeout_s + _MARGIN_S)


async def _made[T](make: Callable[[], T]) -> T:
    return make()


class _Counting(Blocked[Any]):
    @property
    def counters(self) -> Mapping[str, Any]:
        """What was sent, received, lost and refused."""
        counters: Mapping[str, Any] = self.awaited.counters
        return dict(counters)


class BlockingJointRoom(_Counting):
    """Made by `Arena.join_robotics`; use it in a `with`."""

    awaited: JointRoom

    @property
    def rtt_s(self) -> float | None:
        """The last heartbeat's way there and back."""
        return self.awaited.rtt_s

    def send_joints(self, joints: Mapping[str, float], stamp_ns: int | None = None) -> bool:
        """Say joint values; see JointRoom."""
        return self._now(lambda: self.awaited.send_joints(joints, stamp_ns))

    def newest(self) -> Update | None:
        """The newest values until they are too old."""
        return self.awaited.newest()

    def next(self, timeout_s: float | None = None) -> Update | None:
        """The next values; None when none came in time."""
        return self._wait(self.awaited.next(timeout_s), timeout_s)

    def __iter__(self) -> Iterator[Update]:
        return self._thread.iterate(aiter(self.awaited))


class BlockingPictureRoom(_Counting):
    """Made by `Arena.join_video`; use it in a `with`."""

    awaited: PictureRoom

    @property
    def rtt_s(self) -> float | None:
        """The last heartbeat's way there and back."""
        return self.awaited.rtt_s

    def send_frame(self, jpeg: bytes, stamp_ns: int | None = None) -> bool:
        """Show a JPEG; see PictureRoom."""
        return self._now(lambda: self.awaited.send_frame(jpeg, stamp_ns))

    def configure(self, **config: Any) -> bool:
        """Ask for another encoding, resolution, framerate, bitrate or quality."""
        return self._now(lambda: self.awaited.configure(**config))

    def next(self, timeout_s: float | None = None) -> RoomFrame | None:
        """The next picture; None when none came in time."""
        return self._wait(self.awaited.next(timeout_s), timeout_s)

    def __iter__(self) -> Iterator[RoomFrame]:
        return self._thread.iterate(aiter(self.awaited))


class BlockingRobotLink(_Counting):
    """Made by `Arena.robot_link`; use it in a `with`. Hold is silence: see RobotLink."""

    awaited: RobotLink

    @property
    def session(self) -> Session | None:
        """As it was when the link was opened."""
        return self.awaited.session

    @property
    def failure(self) -> ArenaError | None:
        """Why the link has ended for good; None while it stands or may come back."""
        return self.awaited.failure

    @property
    def cameras(self) -> list[str]:
        """Names that `send` takes pictures for."""
        return self.awaited.cameras

    def send(
        self,
        joints: Mapping[str, float],
        frames: Mapping[str, bytes] | None = None,
        stamp_ns: int | None = None,
    ) -> bool:
        """Say what the robot measures, and its cameras' JPEGs; see RobotLink."""
        return self._now(lambda: self.awaited.send(joints, frames, stamp_ns))

    def command(self) -> Update | None:
        """The newest executed command that is still fresh. None: hold."""
        return self.awaited.command()

    def commands(self) -> Iterator[Update]:
        """Each new command while it is fresh; waits while there is none."""
        return self._thread.iterate(self.awaited.commands())
