# SPDX-License-Identifier: Apache-2.0
"""One participant's connection to a room: joined, kept alive, made again after a break with the same place in the room.

What was meant to be said while it was broken is not said later, except an e-stop, which is said first.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lerobot_arena.client import failures, wire
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.outgoing import Outgoing
from lerobot_arena.client.rooms import rooms_path
from lerobot_arena.client.sockets import Backoff, may_pass, open_socket
from lerobot_arena.core.clock import NS
from lerobot_arena.core.delay import DelayEstimator
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotAnswering, NotFound, Unavailable
from lerobot_arena.core.room_codes import Close

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_log = logging.getLogger(__name__)

JOIN_TIMEOUT_S = 5.0
HEARTBEAT_S = 1.0
# Heard nothing for so long: the link counts as dead, though its socket may yet come round.
SILENT_S = 3.0
# A bridge that restarts needs a while until it knows its rooms again.
_ROOM_COMES_BACK_S = 30.0
_CLOCK_SLACK_S = 0.1
# A connection that is dropped sooner is no success: the next try waits longer.
_STOOD_S = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """A room, and who one is in it."""

    kind: str
    workspace_id: str
    room_id: str
    role: str
    participant_id: str

    @classmethod
    def checked(
        cls, kind: str, workspace_id: str, room_id: str, role: str, participant_id: str | None
    ) -> "Place":
        """Raises InvalidInput for a role there is not."""
        if role not in wire.ROLES:
            raise InvalidInput(f"role is {role!r}: choose {wire.PRODUCER} or {wire.CONSUMER}.")
        return cls(kind, workspace_id, room_id, role, participant_id or f"client-{secrets.token_hex(6)}")


class RoomLink:
    """`on_message` and `on_bytes` get what arrives, with its receipt; `on_change` hears (is up, reason)."""

    def __init__(
        self,
        connection: Connection,
        place: Place,
        *,
        on_message: Callable[[dict[str, Any], int], None],
        on_bytes: Callable[[bytes, int], None] = lambda data, received_ns: None,
        on_change: Callable[[bool, str], None] = lambda is_up, reason: None,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.place = place
        self._connection, self._more = connection, more or {}
        self._on_message, self._on_bytes, self._on_change = on_message, on_bytes, on_change
        self.outgoing = Outgoing()
        self.delay = DelayEstimator()
        self.counters: Counter[str] = Counter()
        self.joined: dict[str, Any] = {}
        self.rtt_s: float | None = None
        self.failure: ArenaError | None = None
        self.is_own_latch = False
        """The room there is latched, and by an e-stop of ours."""
        self._server_latched = False
        self._pending_stop: str | None = None
        self._stop_confirmed = asyncio.Event()
        self._is_joined = False
        self._heard_ns = 0
        self._beat_ns = 0
        self._shortest_rtt_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None

    # Being there

    @property
    def is_joined(self) -> bool:
        """What is said now is sent."""
        return self._is_joined

    @property
    def is_live(self) -> bool:
        """Joined, and heard of a moment ago."""
        return self._is_joined and time.monotonic_ns() - self._heard_ns < SILENT_S * NS

    @property
    def estop_latched(self) -> bool:
        """By the server, or by an e-stop of ours that it has not confirmed yet."""
        return self._server_latched or self._pending_stop is not None

    @property
    def is_latched_there(self) -> bool:
        """By the server, as far as it was heard."""
        return self._server_latched

    @property
    def is_over(self) -> bool:
        """It does not come back by itself: closed, or let go for good."""
        return self._task is None or self._task.done()

    @property
    def overdue_s(self) -> float:
        """How much longer than ever the answer to a heartbeat takes: what arrives before it is at least so old."""
        if not self._beat_ns:
            return 0.0
        return max((time.monotonic_ns() - self._beat_ns) / NS - self._shortest_rtt_s, 0.0)

    @property
    def way_s(self) -> float:
        """Half of the shortest way there and back."""
        return self._shortest_rtt_s / 2

    async def open(self) -> None:
        """Join. Raises what the bridge or the room refuses, or that nobody answers; later breaks are mended."""
        if self._task is None:
            self._socket = await self._join()
            self._task = asyncio.create_task(self._keep(self._socket))

    async def close(self) -> None:
        """Leave."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._is_joined = False
        # A task that was cancelled before its first step has closed nothing.
        if self._socket is not None:
            await self._socket.close()

    # Saying

    def say(self, message: dict[str, Any]) -> bool:
        """A control message; False when the link is down, or too many wait already."""
        is_said = self._is_joined and self.outgoing.put_control(wire.write(message))
        self.counters["unsent"] += not is_said
        return is_said

    async def emergency_stop(self, reason: str, timeout_s: float) -> None:
        """Latch, here at once, and see it confirmed. Raises NotAnswering: it will be the first thing said later."""
        self.stop_soon(reason)
        try:
            async with asyncio.timeout(timeout_s):
                await self._stop_confirmed.wait()
        except TimeoutError:
            raise NotAnswering(
                f"Room {self.place.room_id} did not confirm the e-stop within {timeout_s:g} s. It is said again when "
                "the link is back. `arena estop` goes another way; the robot's own button always works."
            ) from None

    def stop_soon(self, reason: str) -> None:
        """Latch, here at once; it is said before anything else, now or when the link is there."""
        self._pending_stop = reason
        self._stop_confirmed.clear()
        if self._is_joined:
            self.outgoing.put_urgent(self._stop_text(reason))

    @staticmethod
    def _stop_text(reason: str) -> str:
        return wire.write({"type": "emergency_stop", "reason": reason})

    # Joining

    async def _join(self) -> "ClientConnection":
        from websockets.exceptions import ConnectionClosed

        place = self.place
        path = rooms_path(place.kind, place.workspace_id, place.room_id, "ws")
        socket = await open_socket(self._connection, path)
        frame = {"participant_id": place.participant_id, "role": place.role, **self._more}
        if token := self.joined.get("resume"):
            frame["resume"] = token
        begun_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                await socket.send(wire.write(frame))
                await self._welcomed(socket, begun_ns)
        except BaseException as error:
            await socket.close()
            if isinstance(error, TimeoutError):
                raise failures.late(self._connection.socket_url(path), JOIN_TIMEOUT_S) from None
            if isinstance(error, ConnectionClosed):
                raise Unavailable(f"Room {place.room_id} closed the connection: {error}.") from error
            if isinstance(error, ValueError):
                raise failures.not_a_bridge(self._connection.url) from error
            raise
        return socket

    async def _welcomed(self, socket: "ClientConnection", begun_ns: int) -> None:
        """Until `joined`; what comes before it is for consumers."""
        while True:
            data = await socket.recv()
            message = wire.read(data)
            now_ns = time.monotonic_ns()
            if message["type"] == "error":
                raise wire.refusal_of(message)
            if message["type"] == "joined":
                break
            self._hear(data)
        self._tune(message, begun_ns, now_ns)
        self.joined = message
        self._is_joined, self._heard_ns, self._beat_ns = True, now_ns, 0
        self._note_latch(message)
        if self._pending_stop is not None:
            self.outgoing.put_urgent(self._stop_text(self._pending_stop))

    def _tune(self, message: dict[str, Any], begun_ns: int, now_ns: int) -> None:
        """The server's clock: the one of before, unless `joined` would have taken longer than asking for it did."""
        stamp = message.get("server_mono_ns")
        took_s = (now_ns - begun_ns) / NS
        self._shortest_rtt_s = took_s
        if isinstance(stamp, int) and self.delay.delay_s(stamp, now_ns) > took_s + _CLOCK_SLACK_S:
            self.delay.reset()
            self.delay.delay_s(stamp, now_ns)

    # Staying

    async def _keep(self, socket: "ClientConnection") -> None:
        """Converse, and join again after every break, until closed or let go for good."""
        backoff = Backoff()
        try:
            while True:
                self._tell_change(True, "")
                begun_ns = time.monotonic_ns()
                error = await self._converse(socket)
                if time.monotonic_ns() - begun_ns > _STOOD_S * NS:
                    backoff.succeeded()
                if not isinstance(error, Unavailable):
                    raise error
                self._tell_change(False, str(error))
                socket = await self._join_again(backoff)
                self.counters["reconnects"] += 1
        except ArenaError as error:
            _log.warning("Room %s: %s", self.place.room_id, error)
            self._end(error)
        except Exception as error:
            _log.exception("Room %s", self.place.room_id)
            self._end(
                ArenaError(f"The link to room {self.place.room_id} ended by a fault of its own: {error!r}.")
            )

    def _end(self, error: ArenaError) -> None:
        """For good: whoever waits is told."""
        self.failure = error
        self._tell_change(False, str(error))

    async def _join_again(self, backoff: Backoff) -> "ClientConnection":
        deadline = time.monotonic() + _ROOM_COMES_BACK_S
        error: ArenaError | None = None
        while True:
            await asyncio.sleep(backoff.pause_s(error))
            try:
                return await self._join()
            except (Conflict, NotFound) as found:
                # Our old connection may still be there, and a restarted bridge may not know its rooms yet.
                if time.monotonic() > deadline:
                    raise
                error = found
            except ArenaError as found:
                if not may_pass(found):
                    raise
                error = found
                deadline = time.monotonic() + _ROOM_COMES_BACK_S

    async def _converse(self, socket: "ClientConnection") -> ArenaError:
        """Until the connection ends; why. Unavailable: it is worth another try."""
        from websockets.exceptions import ConnectionClosed

        tasks = [asyncio.create_task(self._write(socket)), asyncio.create_task(self._beat())]
        try:
            async for data in socket:
                self._hear(data)
        except ConnectionClosed:
            self.counters["breaks"] += 1
        finally:
            self._is_joined = False
            self.outgoing.forget()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await socket.close()
        code, reason = socket.close_code, socket.close_reason
        told = f"Room {self.place.room_id} let us go: {reason or code}."
        if code == Close.ROOM_CLOSED:
            return NotFound(told)
        return Conflict(told) if code in wire.FINAL_CLOSES else Unavailable(told)

    async def _write(self, socket: "ClientConnection") -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):  # the reader sees it too
            while True:
                try:
                    data = await self.outgoing.take()
                except Exception:  # such as a stamp that no frame holds: an e-stop behind it must go out
                    self.counters["unsent"] += 1
                    _log.exception("Room %s: this cannot be said", self.place.room_id)
                    continue
                await socket.send(data)
                self.counters["sent"] += 1

    async def _beat(self) -> None:
        while True:
            if not self._beat_ns and self.say({"type": "heartbeat"}):
                self._beat_ns = time.monotonic_ns()
            await asyncio.sleep(HEARTBEAT_S)

    def _hear(self, data: str | bytes) -> None:
        self._heard_ns = now_ns = time.monotonic_ns()
        try:
            if isinstance(data, bytes):
                self._on_bytes(data, now_ns)
                return
            message = wire.read(data)
            self._note_latch(message)
            if message["type"] == "heartbeat_ack":
                self._note_ack(message, now_ns)
            self._on_message(message, now_ns)
        except Exception as error:  # whatever somebody says, an e-stop after it is heard
            self.counters["malformed"] += 1
            _log.debug("Room %s said what cannot be read: %r", self.place.room_id, error)

    def _note_ack(self, message: dict[str, Any], now_ns: int) -> None:
        if self._beat_ns:
            self.rtt_s, self._beat_ns = (now_ns - self._beat_ns) / NS, 0
            self._shortest_rtt_s = min(self._shortest_rtt_s or self.rtt_s, self.rtt_s)
            self.outgoing.base_s = self.way_s
        if isinstance(stamp := message.get("server_mono_ns"), int):
            self.delay.delay_s(stamp, now_ns)

    def _note_latch(self, message: dict[str, Any]) -> None:
        is_stop = message["type"] == "emergency_stop"
        # Servers that know no latch tell of the stop alone.
        is_latched = message.get("estop_latched", True if is_stop else None)
        if not isinstance(is_latched, bool):
            return
        if is_latched and is_stop:
            self._pending_stop = None
            self._stop_confirmed.set()
            is_ours = message.get("source") == self.place.participant_id
            self.is_own_latch = is_ours and (self.is_own_latch or not self._server_latched)
        elif not is_latched:
            self.is_own_latch = False
        self._server_latched = is_latched

    def _tell_change(self, is_up: bool, reason: str) -> None:
        self.called(self._on_change, is_up, reason)

    def called(self, callback: Callable[..., object] | None, *args: Any) -> None:
        """A caller's function; what it throws must not end the link."""
        try:
            if callback is not None:
                callback(*args)
        except Exception:
            _log.exception("A callback of room %s failed", self.place.room_id)
