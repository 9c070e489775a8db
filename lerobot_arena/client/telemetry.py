# SPDX-License-Identifier: Apache-2.0
"""Telemetry as it happens: each control cycle and its camera frames, over a socket that comes back by itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lerobot_arena.client import failures
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.endpoint import Group, endpoint
from lerobot_arena.client.loop_thread import LoopThread
from lerobot_arena.client.records import history
from lerobot_arena.client.sockets import Backoff, may_pass, open_socket
from lerobot_arena.client.transport import AwaitingTransport, BlockingTransport
from lerobot_arena.core.errors import ArenaError

_PATH = "/ws/telemetry"
_V1, _V2 = 1, 2


@dataclass(frozen=True, slots=True)
class Cycle:
    """A control cycle; `event` has the fields that docs/guard.md lists."""

    event: dict[str, Any]

    @property
    def cycle_id(self) -> int:
        """Counts up within a guard's life."""
        return int(self.event.get("cycle_id", 0))

    @property
    def is_replay(self) -> bool:
        """It was before this client came."""
        return bool(self.event.get("replay"))

    @property
    def dropped(self) -> int:
        """How many events this client has lost so far, as it was too slow; told with the first one after a loss."""
        return int(self.event.get("dropped", 0))


@dataclass(frozen=True, slots=True)
class Frame:
    """A camera's picture, and the cycle it came with (modulo 2³²)."""

    camera: str
    jpeg: bytes
    cycle_id: int | None = None


@dataclass(frozen=True, slots=True)
class LinkChange:
    """The connection stands, or it broke and why; what came meanwhile is not told again."""

    is_up: bool
    reason: str = ""


Item = Cycle | Frame | LinkChange


def read_frame(data: bytes) -> Frame:
    """A binary message: seed 3's [0x01][n][name][JPEG], or [0x02][cycle id, 4 bytes][n][name][JPEG]. ValueError."""
    if not data or data[0] not in {_V1, _V2}:
        raise ValueError("no frame")
    at = 1 if data[0] == _V1 else 5
    if len(data) < at + 1 or len(data) < at + 1 + data[at]:
        raise ValueError("a cut frame")
    begin = at + 1 + data[at]
    cycle_id = int.from_bytes(data[1:5]) if data[0] == _V2 else None
    return Frame(data[at + 1 : begin].decode("utf-8", "replace"), data[begin:], cycle_id)


def read_item(data: str | bytes) -> Item | None:
    """What a message says; None for keep-alives and types of a newer bridge. Raises ValueError."""
    if isinstance(data, bytes):
        return read_frame(data)
    event = json.loads(data)
    if not isinstance(event, dict):
        raise ValueError("no object")
    return Cycle(event) if event.get("type") == "cycle" else None


async def watch(connection: Connection, query: dict[str, Any], *, reconnect: bool) -> AsyncIterator[Item]:
    """Items until the caller has enough; after a break from where things are then. Raises what the bridge refuses."""
    from websockets.exceptions import ConnectionClosed

    backoff = Backoff()
    while True:
        try:
            socket = await open_socket(connection, _PATH, query)
        except ArenaError as error:
            if not reconnect or not may_pass(error):
                raise
            await asyncio.sleep(backoff.pause_s(error))
            continue
        try:
            yield LinkChange(True)
            async for data in socket:
                backoff.succeeded()
                if (item := _read(connection, data)) is not None:
                    yield item
            reason = "the bridge closed the connection"
        except ConnectionClosed as error:
            reason = str(error)
        finally:
            await socket.close()
        yield LinkChange(False, reason)
        if not reconnect:
            return
        await asyncio.sleep(backoff.pause_s())


def _read(connection: Connection, data: str | bytes) -> Item | None:
    try:
        return read_item(data)
    except (ValueError, RecursionError) as error:
        raise failures.not_a_bridge(connection.url) from error


def _query(
    arm: str | None, cameras: Sequence[str] | None, fps: float, rate_hz: float | None, perf: bool
) -> dict[str, Any]:
    return {
        "arm": arm,
        "cameras": ",".join(cameras) if cameras is not None else None,
        "fps": fps,
        "rate_hz": rate_hz,
        "perf": perf or None,
        "frames": "v2",
    }


class Telemetry(Group[BlockingTransport]):
    """What the guard does, cycle by cycle."""

    def __init__(self, via: BlockingTransport, thread: Callable[[], LoopThread]) -> None:
        super().__init__(via)
        self._thread = thread

    history = endpoint(history)

    def live(
        self,
        *,
        arm: str | None = None,
        cameras: Sequence[str] | None = None,
        fps: float = 10.0,
        rate_hz: float | None = None,
        perf: bool = False,
        reconnect: bool = True,
    ) -> Iterator[Item]:
        """Cycles, frames and changes of the link, as they come.

        `cameras` None: all; empty: none. `rate_hz` thins the cycles.
        """
        query = _query(arm, cameras, fps, rate_hz, perf)
        return self._thread().iterate(watch(self._via.connection, query, reconnect=reconnect))


class AsyncTelemetry(Group[AwaitingTransport]):
    """What the guard does, cycle by cycle."""

    history = endpoint(history)

    def live(
        self,
        *,
        arm: str | None = None,
        cameras: Sequence[str] | None = None,
        fps: float = 10.0,
        rate_hz: float | None = None,
        perf: bool = False,
        reconnect: bool = True,
    ) -> AsyncIterator[Item]:
        """Cycles, frames and changes of the link, as they come.

        `cameras` None: all; empty: none. `rate_hz` thins the cycles.
        """
        query = _query(arm, cameras, fps, rate_hz, perf)
        return watch(self._via.connection, query, reconnect=reconnect)
