# SPDX-License-Identifier: Apache-2.0
"""A room without a server: members whose mailboxes a test reads."""

import json
from typing import Any

from lerobot_arena.core.clock import Clock, ManualClock
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.rooms.mailbox import Closing, Mailbox
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.robotics import RoboticsRoom, RoboticsSettings
from lerobot_arena.rooms.room import Place, Room, Tie
from lerobot_arena.rooms.wire import Join, JointsSaid


def make_room(clock: Clock | None = None, tie: Tie | None = None, **fields: Any) -> RoboticsRoom:
    """Of the owner `ada`; `fields` are settings."""
    place = Place("robotics", "w", "r")
    return RoboticsRoom(
        place, clock or ManualClock(), owner="ada", settings=RoboticsSettings(**fields), tie=tie
    )


def enter(room: Room, name: str, role: str = "consumer", *, who: str = "ada", **join: Any) -> Member:
    """Join and be greeted. Raises ArenaError."""
    box = Mailbox(room.clock.steady_ns, max_events=5000)
    member = room.join(Join(name, role, **join), who, box)
    room.greet(member)
    return member


def refusal_of(room: Room, name: str, role: str = "consumer", **more: str) -> str:
    """Code of a refused join; empty when it was let in."""
    try:
        enter(room, name, role, **more)
    except ArenaError as error:
        return error.code
    return ""


def read(member: Member) -> list[Any]:
    """All that waits: messages, pictures, and {"close": code} as the last."""
    said: list[Any] = []
    while (parcel := member.mailbox.take_now()) is not None:
        if isinstance(parcel, Closing):
            return [*said, {"close": parcel.code}]
        said.append(parcel if isinstance(parcel, bytes) else json.loads(parcel))
    return said


def say(room: RoboticsRoom, member: Member, data: Any = None, **said: Any) -> None:
    """A joint_update."""
    room.say(member, JointsSaid(data, **said))
