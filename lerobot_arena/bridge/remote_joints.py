# SPDX-License-Identifier: Apache-2.0
"""A room for joints on another arena: measured ones come from there, executed ones go there, in one unit."""

import time
from typing import Any

from lerobot_arena.bridge.remote_room import RemoteRoom
from lerobot_arena.client import wire
from lerobot_arena.client.arena import AsyncArena
from lerobot_arena.client.connection import Connection
from lerobot_arena.client.joint_room import JointRoom, Update, joint_room
from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.rooms.media_wire import CONSUMER, PRODUCER
from lerobot_arena.rooms.robotics import DEFAULT_MAX_AGE_S, RoboticsRoom
from lerobot_arena.rooms.wire import JointsSaid


class RemoteJoints(RemoteRoom):
    """`is_input`: they come from there. `unit` and `joint_names` are the session's, as far as it knows them."""

    def __init__(
        self, *args: Any, is_input: bool, unit: str = "", joint_names: tuple[str, ...] = (), **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._is_input = is_input
        self._wanted = {"unit": unit or None, "joint_names": joint_names or None}
        self._mismatch = ""
        self._there: JointRoom | None = None

    def _settings(self) -> dict[str, Any]:
        return self._wanted

    def _obstacle(self) -> str:
        return super()._obstacle() or self._mismatch

    async def _join(self, _arena: AsyncArena, connection: Connection) -> None:
        place = self._place
        self._there = there = joint_room(
            connection,
            place.workspace_id,
            place.room_id,
            role=CONSUMER if self._is_input else PRODUCER,
            participant_id=self._name,
            max_age_s=DEFAULT_MAX_AGE_S,
        )
        there.on_change, there.on_estop, there.on_error = self._on_change, self._on_estop, self._on_refusal
        if self._is_input:
            there.on_update = self._take
        seat = self._seat(PRODUCER if self._is_input else CONSUMER)
        try:
            async with seat as self._here:
                self._link = there.link
                async with there:
                    await self._while_linked(there.link, self._pass_on(seat, there.link))
        finally:
            self._here = self._link = self._there = None

    def _on_change(self, is_up: bool, reason: str) -> None:
        if is_up:
            self._fits(self._unit_there, self._unit_here)
        super()._on_change(is_up, reason)

    def _on_refusal(self, error: ArenaError) -> None:
        self._refusals.note("there", error.code, str(error))

    @property
    def _unit_there(self) -> str:
        return str(self._link.joined.get("unit") or "") if self._link is not None else ""

    @property
    def _unit_here(self) -> str:
        room = self._here[0] if self._here is not None else None
        return room.own_unit or room.joints().unit if isinstance(room, RoboticsRoom) else ""

    def _fits(self, there: str, here: str) -> bool:
        """Whether values may pass. A server that says no unit, as the original ones, means the normalized one."""
        there, here = there or NORMALIZED, here or NORMALIZED
        self._mismatch = "" if there == here else (
            f"Nothing passes: the unit of the room there is {there}, and here it is {here}. Delete the room there, so "
            f"that it is made anew in {here}, or make the session with unit {there}."
        )  # fmt: skip
        return not self._mismatch

    def _take(self, update: Update) -> None:
        if self._here is None or not self._fits(update.unit, self._unit_here):
            return
        room, member = self._here
        data = [{"name": name, "value": value} for name, value in update.joints.items()]
        if isinstance(room, RoboticsRoom):
            room.say(member, JointsSaid(data, age_ms=update.age_s * 1000.0))

    async def _say_there(self, message: dict[str, Any]) -> None:
        if message["type"] != "joint_update" or self._is_input or self._there is None:
            return
        if self._fits(self._unit_there, str(message.get("unit") or self._unit_here)):
            born_ns = time.monotonic_ns() - round(float(message["age_ms"]) / 1000.0 * NS)
            self._there.send_joints(wire.joints_of(message["data"]), stamp_ns=born_ns)
