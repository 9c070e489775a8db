# SPDX-License-Identifier: Apache-2.0
"""How many rooms there may be, of whom, and when they end by themselves."""

import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import ArenaError, NotFound
from lerobot_arena.rooms.hub import INACTIVITY_S, Hub, RoomLimits
from lerobot_arena.rooms.robotics import RoboticsRoom, RoboticsSettings
from lerobot_arena.rooms.room import Place, Tie
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.testing.room_rig import enter

LIMITS = RoomLimits(
    rooms=6,
    rooms_per_owner=4,
    workspaces=3,
    workspaces_per_owner=2,
    participants=5,
    participants_per_identity=3,
)


def room(hub: Hub, workspace: str, name: str, *, owner: str = "ada", tie: Tie | None = None) -> RoboticsRoom:
    place = Place("robotics", workspace, name)
    made = RoboticsRoom(place, hub.clock, owner=owner, settings=RoboticsSettings(), tie=tie)
    hub.add(made)
    return made


def refused(hub: Hub, workspace: str, name: str, **more: str) -> str:
    with pytest.raises(ArenaError) as caught:
        room(hub, workspace, name, **more)  # type: ignore[arg-type]
    return caught.value.code


def test_rooms_and_workspaces_are_bounded_here_and_of_each_owner() -> None:
    hub = Hub(ManualClock(), LIMITS)
    for index in range(4):
        room(hub, "w1", f"r{index}")
    assert refused(hub, "w1", "r4") == "too_many_rooms"
    room(hub, "w2", "r", owner="bob")
    room(hub, "w2", "r2", owner="bob")
    assert refused(hub, "w2", "r3", owner="eve") == "too_many_rooms"
    room(hub, "w9", "s-front", tie=Tie("s", "arm"))
    assert len(hub) == 7, "a session's rooms are not counted"
    fresh = Hub(ManualClock(), LIMITS)
    room(fresh, "w1", "r")
    room(fresh, "w2", "r")
    assert refused(fresh, "w3", "r") == "too_many_rooms"


def test_a_name_is_of_one_kind_because_a_topic_has_one_type() -> None:
    hub = Hub(ManualClock())
    room(hub, "w", "r")
    assert refused(hub, "w", "r") == "room_exists"
    with pytest.raises(ArenaError) as caught:
        hub.add(VideoRoom(Place("video", "w", "r"), hub.clock, owner="ada", settings=VideoSettings()))
    assert caught.value.code == "kind_taken"


def test_participants_are_bounded_here_and_of_each_account() -> None:
    hub = Hub(ManualClock(), LIMITS)
    first, second = room(hub, "w", "r1"), room(hub, "w", "r2")
    for index, where in enumerate((first, second, first)):
        hub.check_participant("ada")
        enter(where, f"c{index}", who="ada")
    with pytest.raises(ArenaError) as caught:
        hub.check_participant("ada")
    assert caught.value.code == "too_many_participants"
    for index in range(2):
        hub.check_participant("bob")
        enter(second, f"b{index}", who="bob")
    with pytest.raises(ArenaError):
        hub.check_participant("eve")


def test_a_room_that_nobody_uses_ends_and_one_with_somebody_in_it_does_not() -> None:
    clock = ManualClock()
    hub = Hub(clock)
    empty, used = room(hub, "w", "empty"), room(hub, "w", "used")
    tied = room(hub, "w", "tied", tie=Tie("s", "arm"))
    enter(used, "c")
    clock.advance(INACTIVITY_S - 1)
    assert hub.due() == []
    empty.touch()
    clock.advance(2)
    assert hub.due() == []
    clock.advance(INACTIVITY_S)
    assert hub.due() == [empty]
    assert not hub.is_due(used) and not hub.is_due(tied)
    hub.remove(empty.place, "inactive")
    with pytest.raises(NotFound):
        hub.get(empty.place)
