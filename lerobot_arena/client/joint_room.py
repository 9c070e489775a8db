# SPDX-License-Identifier: Apache-2.0
"""A robotics room for asyncio: say joint values as its producer, or get them as a consumer, never stale ones."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from lerobot_arena.client import wire
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.room_link import Place, RoomLink
from lerobot_arena.client.rooms import ROBOTICS, joint_values
from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput

DEFAULT_MAX_AGE_S = 0.5
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Update:
    """Joint values. `age_s` when they were handed out; `merged` updates are in it, `missed` before it never came."""

    joints: Mapping[str, float]
    seq: int
    age_s: float
    source: str = ""
    unit: str = ""
    merged: int = 1
    missed: int = 0


class JointRoom:
    """Made by `AsyncArena.join_robotics`; use it in an `async with`. It comes back by itself after a break.

    Set `on_update(update)`, `on_estop(reason, source)`, `on_change(is_up, reason)` and `on_error(error)` before it is
    opened, when callbacks are wanted; they run on the event loop and must not block.
    """

    def __init__(self, connection: Connection, place: Place, *, max_age_s: float = DEFAULT_MAX_AGE_S) -> None:
        if not 0 < max_age_s < math.inf:
            raise InvalidInput(
                f"max_age_s is {max_age_s!r}: without a bound in seconds a late command moves an arm."
            )
        self.max_age_s = max_age_s
        self.link = RoomLink(connection, place, on_message=self._on_message, on_change=self._on_link)
        self.state: dict[str, float] = {}
        """All joints the room knew when it was joined, and their changes since; of any age."""
        self.on_update: Callable[[Update], object] | None = None
        self.on_estop: Callable[[str, str], object] | None = None
        self.on_change: Callable[[bool, str], object] | None = None
        self.on_error: Callable[[ArenaError], object] | None = None
        self._waiting: dict[str, tuple[float, int]] = {}
        self._news: Update | None = None
        self._newest: tuple[Update, int] | None = None
        self._seq = 0
        self._arrived = asyncio.Event()

    @property
    def is_live(self) -> bool:
        """Joined, and the server was heard of within the last seconds."""
        return self.link.is_live

    @property
    def estop_latched(self) -> bool:
        """While it is, nothing is handed out and nothing is taken."""
        return self.link.estop_latched

    @property
    def counters(self) -> Mapping[str, int]:
        """sent, received, stale, missed, malformed, unsent, breaks, reconnects, and `refused:<code>`."""
        return self.link.counters

    @property
    def rtt_s(self) -> float | None:
        """The last heartbeat's way there and back."""
        return self.link.rtt_s

    async def open(self) -> Self:
        """Join. Raises what the room refuses, or that nobody answers."""
        await self.link.open()
        return self

    async def close(self) -> None:
        """Leave."""
        await self.link.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Producer

    def send_joints(self, joints: Mapping[str, float], stamp_ns: int | None = None) -> bool:
        """Say joint values; never waits. False when the link is down: they are not said later.

        `stamp_ns` is when they were measured, by `time.monotonic_ns()`; now, when it is left out. On a slow link newer
        values replace those that wait. Raises InvalidInput for what is not finite, Conflict for a consumer.
        """
        values = joint_values(joints)
        if self.link.place.role != wire.PRODUCER:
            raise Conflict("Only a producer says joint values: join with role='producer'.")
        if not self.link.is_joined or self.estop_latched:
            self.link.counters["unsent"] += 1
            return False
        stamp = time.monotonic_ns() if stamp_ns is None else int(stamp_ns)
        self.link.outgoing.put_joints({item["name"]: item["value"] for item in values}, stamp)
        return True

    async def emergency_stop(self, reason: str = "Emergency stop", timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop: here at once, and in the room when this returns. Raises NotAnswering when nobody confirmed it."""
        self._forget()
        await self.link.emergency_stop(reason, timeout_s)

    # Consumer

    def newest(self) -> Update | None:
        """The newest values, again and again until they are too old; None while stopped or the link is down."""
        if self._newest is None or self.estop_latched or not self.is_live:
            return None
        update, born_ns = self._newest
        age_s = (time.monotonic_ns() - born_ns) / NS
        return replace(update, age_s=age_s) if age_s <= self.max_age_s else None

    async def next(self, timeout_s: float | None = None) -> Update | None:
        """The next values, each joint at most `max_age_s` old; None when none came in time.

        Raises the reason when the link has ended for good. With `on_update` set, that gets them instead.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if (update := self._take()) is not None:
                        return update
                    if self.link.failure is not None:
                        raise self.link.failure
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return None

    async def __aiter__(self) -> AsyncIterator[Update]:
        while (update := await self.next()) is not None:
            yield update

    # What arrives

    def _on_message(self, message: dict[str, Any], received_ns: int) -> None:
        match message["type"]:
            case "joint_update":
                self._on_joints(message, received_ns)
            case "state_sync":
                self.state = wire.joints_of(message.get("data"))
                self._seq = int(wire.number(message, "seq"))
            case "emergency_stop":
                self._forget()
                self.link.called(self.on_estop, str(message.get("reason")), str(message.get("source")))
            case "error":
                error = wire.refusal_of(message)
                self.link.counters[f"refused:{error.code}"] += int(wire.number(message, "count", 1))
                self.link.called(self.on_error, error)

    def _on_joints(self, message: dict[str, Any], received_ns: int) -> None:
        joints = wire.joints_of(message.get("data"))
        age_s = self._age_s(message, received_ns)
        born_ns = received_ns - round(age_s * NS)
        self.state.update(joints)
        seq, merged = int(wire.number(message, "seq")), int(wire.number(message, "merged", 1))
        missed = max(seq - self._seq - merged, 0) if self._seq and seq else 0
        self._seq = seq
        self.link.counters["received"] += 1
        self.link.counters["missed"] += missed
        if self.estop_latched:
            self._forget()
            return
        if age_s > self.max_age_s:
            self.link.counters["stale"] += 1
            return
        before = self._news
        self._news = Update(
            joints,
            seq,
            0.0,
            str(message.get("source") or ""),
            str(message.get("unit") or ""),
            merged + (before.merged if before else 0),
            missed + (before.missed if before else 0),
        )
        self._waiting.update({name: (value, born_ns) for name, value in joints.items()})
        self._arrived.set()
        if self._newest is None or born_ns >= self._newest[1]:
            self._newest = replace(self._news, merged=merged, missed=missed), born_ns
        if self.on_update is not None and (update := self._take()) is not None:
            self.link.called(self.on_update, update)

    def _age_s(self, message: dict[str, Any], received_ns: int) -> float:
        """As old as the server says, and what the way from there added."""
        age_s = max(wire.number(message, "age_ms") / 1000.0, 0.0) + self.link.way_s
        stamp = message.get("sent_mono_ns")
        return age_s + (self.link.delay.delay_s(stamp, received_ns) if isinstance(stamp, int) else 0.0)

    def _take(self) -> Update | None:
        """What waits, without what became too old while it waited."""
        news, waiting = self._news, self._waiting
        if news is None or self.estop_latched:
            return None
        self._news, self._waiting = None, {}
        oldest_ns = time.monotonic_ns() - round(self.max_age_s * NS)
        fresh = {name: pair for name, pair in waiting.items() if pair[1] >= oldest_ns}
        if not fresh:
            self.link.counters["stale"] += 1
            return None
        born_ns = min(born for _, born in fresh.values())
        age_s = (time.monotonic_ns() - born_ns) / NS
        return replace(
            news, joints={name: value for name, (value, _) in fresh.items()}, age_s=max(age_s, 0.0)
        )

    def _forget(self) -> None:
        self._news, self._newest, self._waiting = None, None, {}

    def _on_link(self, is_up: bool, reason: str) -> None:
        self._forget()
        # Whoever waits learns when it is over for good.
        self._arrived.set()
        self.link.called(self.on_change, is_up, reason)


def joint_room(
    connection: Connection,
    workspace_id: str,
    room_id: str,
    *,
    role: str,
    participant_id: str | None,
    max_age_s: float,
) -> JointRoom:
    """A room that is not joined yet."""
    place = Place.checked(ROBOTICS, workspace_id, room_id, role, participant_id)
    return JointRoom(connection, place, max_age_s=max_age_s)
