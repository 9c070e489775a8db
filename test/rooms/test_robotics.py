# SPDX-License-Identifier: Apache-2.0
"""Joint values on their way through a room: all of them, merged by name, with their age, and nothing unusable."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.room import RoomJoints
from lerobot_arena.rooms.joint_payload import JointVocabulary
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.robotics import RoboticsRoom
from lerobot_arena.rooms.room import Tie
from lerobot_arena.testing.room_rig import enter, make_room, read, say

ONE = [{"name": "a", "value": 1.0}]


class Scene:
    """A producer and a consumer, greeted, and what went to ROS."""

    def __init__(self, tie: Tie | None = None, **fields: Any) -> None:
        self.clock = ManualClock()
        self.room: RoboticsRoom = make_room(self.clock, tie, **fields)
        self.to_ros: list[RoomJoints] = []
        self.room.to_ros = self.to_ros.append
        self.producer, self.consumer = enter(self.room, "p", "producer"), enter(self.room, "c")
        read(self.producer)
        read(self.consumer)

    def say(self, data: Any, *, by: Member | None = None, **said: Any) -> None:
        say(self.room, by or self.producer, data, **said)

    def refused(self) -> list[str]:
        return [message["code"] for message in read(self.producer)]


def test_every_joint_of_an_update_goes_out_also_when_it_did_not_change() -> None:
    scene = Scene()
    for _ in range(3):
        scene.say([{"name": "a", "value": 1.0, "speed": 2}, {"name": "b", "value": -2}])
        (update,) = read(scene.consumer)
        assert update["data"] == [{"name": "a", "value": 1.0, "speed": 2}, {"name": "b", "value": -2.0}]
    assert update["source"] == "p" and update["seq"] == 3
    assert read(scene.producer) == [], "never echoed"


def test_partial_updates_are_merged_and_the_newcomer_gets_the_whole() -> None:
    scene = Scene()
    scene.say({"a": 1.0})
    scene.say({"b": 2.0})
    scene.say({"a": 3.0})
    (update,) = read(scene.consumer)
    assert {entry["name"]: entry["value"] for entry in update["data"]} == {"a": 3.0, "b": 2.0}
    assert update["merged"] == 3
    sync = read(enter(scene.room, "late"))[0]
    assert sync["data"] == {"a": 3.0, "b": 2.0}


def test_ros_hears_what_was_said_with_its_age() -> None:
    scene = Scene()
    scene.say(ONE, age_ms=40.0)
    (joints,) = scene.to_ros
    assert (joints.names, joints.values, joints.source, joints.age_s) == (("a",), (1.0,), "p", 0.04)
    assert joints.stamp_ns == scene.clock.wall_ns() - 40_000_000
    scene.room.command(ONE)
    assert scene.to_ros[-1].source == "api" and scene.to_ros[-1].sequence == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "joints_shape"),
        ("a", "joints_shape"),
        ([], "joints_empty"),
        ([None], "joint_entry"),
        ([{"name": "a"}], "joint_entry"),
        ([{"name": 5, "value": 1}], "joint_name"),
        ([{"name": "n" * 51, "value": 1}], "joint_name"),
        ([{"name": "a", "value": None}], "joint_value"),
        ([{"name": "a", "value": "1"}], "joint_value"),
        ([{"name": "a", "value": True}], "joint_value"),
        ([{"name": "a", "value": float("nan")}], "joint_not_finite"),
        ([{"name": "a", "value": 10**400}], "joint_not_finite"),
        ([{"name": "a", "value": 361.0}], "joint_out_of_range"),
        ([{"name": "a", "value": 1}, {"name": "a", "value": 2}], "joint_twice"),
        ([{"name": "a", "value": 1, "more": {"x": 1}}], "joint_entry"),
        ([{"name": "a", "value": 1, **{f"k{i}": i for i in range(9)}}], "joint_entry"),
        ([{"name": f"j{i}", "value": 1} for i in range(65)], "joints_too_many"),
    ],
)
def test_nothing_of_an_unusable_update_gets_anywhere(data: Any, code: str) -> None:
    scene = Scene()
    scene.say(data)
    assert scene.refused() == [code]
    assert (read(scene.consumer), scene.to_ros, scene.room.state) == ([], [], {})
    assert scene.producer.refused == {code: 1}


@pytest.mark.parametrize("settings", [{}, {"unit": "degrees"}, {"joint_names": ("a",)}])
@pytest.mark.parametrize("name", ["n" * 60_000, "a\x00b", "line\nbreak"])
def test_a_name_is_short_and_printable_in_every_room(settings: dict[str, Any], name: str) -> None:
    scene = Scene(**settings)
    scene.say({name: 1.0})
    assert scene.refused() == ["joint_unknown" if "joint_names" in settings else "joint_name"]
    assert scene.room.state == {} and scene.to_ros == []


def test_a_room_does_not_grow_by_ever_new_names() -> None:
    scene = Scene()
    for index in range(200):
        scene.say({f"joint{index}": 1.0})
    assert len(scene.room.state) == 64
    assert set(scene.refused()) == {"joints_too_many"}


def test_consumers_do_not_produce() -> None:
    scene = Scene()
    scene.say(ONE, by=scene.consumer)
    assert [message["code"] for message in read(scene.consumer)] == ["not_producer"]
    assert not scene.room.state


def test_values_that_queued_up_on_the_way_are_refused_and_counted() -> None:
    """200 ms of delay were there from the beginning and do not show; what comes on top does."""
    scene = Scene(max_age_s=0.5)
    sent_ns = 1_000_000_000_000
    for delay_s, is_taken in (
        (0.2, True),
        (0.25, True),
        (0.69, True),
        (0.71, False),
        (3.0, False),
        (0.21, True),
    ):
        scene.clock.now_ns = 50_000_000_000_000 + (sent_ns - 1_000_000_000_000) + round(delay_s * 1e9)
        scene.say(ONE, stamp_mono_ns=sent_ns)
        got = read(scene.consumer)
        assert bool(got) is is_taken, delay_s
        if got:
            assert got[0]["age_ms"] == pytest.approx((delay_s - 0.2) * 1e3, abs=8.0)
            assert got[0]["stamp_mono_ns"] == sent_ns
        sent_ns += 5_000_000_000
    errors = read(scene.producer)
    assert [(error["code"], error["count"]) for error in errors] == [("stale", 2)]
    assert errors[0]["age_ms"] == pytest.approx(2800, abs=20)


def test_the_age_its_sender_admits_counts_too() -> None:
    scene = Scene(max_age_s=0.1)
    scene.say(ONE, age_ms=99.0)
    scene.say(ONE, age_ms=101.0)
    assert scene.refused() == ["stale"]
    assert len(scene.to_ros) == 1


def test_while_the_e_stop_is_latched_nothing_moves_through() -> None:
    scene = Scene()
    scene.say(ONE)
    scene.room.emergency_stop("c", "stop")
    assert [message["type"] for message in read(scene.consumer)] == ["emergency_stop"], (
        "what waited is forgotten"
    )
    read(scene.producer)
    scene.say(ONE)
    assert scene.refused() == ["estop_latched"]
    with pytest.raises(ArenaError) as caught:
        scene.room.command(ONE)
    assert caught.value.code == "estop_latched"
    scene.room.release("ada")
    read(scene.producer)
    scene.say(ONE)
    assert scene.refused() == [] and len(scene.to_ros) == 2


def test_a_session_s_room_speaks_its_names_unit_and_ranges() -> None:
    scene = Scene()
    scene.room.joints = lambda: JointVocabulary(("shoulder_pan", "gripper"), "normalized")
    scene.say([{"name": "Rotation", "value": 50, "speed": 3}, {"name": "gripper.pos", "value": 20}])
    (update,) = read(scene.consumer)
    assert update["data"] == [
        {"name": "shoulder_pan", "value": 50.0, "speed": 3},
        {"name": "gripper", "value": 20.0},
    ]
    assert update["unit"] == scene.to_ros[0].unit == "normalized"
    for data, code in (({"gripper": -5}, "joint_out_of_range"), ({"elbow_flex": 1}, "joint_unknown")):
        scene.say(data)
        assert scene.refused() == [code]


def test_joints_of_the_topic_go_to_consumers_and_not_back() -> None:
    scene = Scene(tie=None)
    scene.room.leave(scene.producer)
    read(scene.consumer)
    joints = RoomJoints(("a", "b"), (1.0, 2.0), "degrees", source="guard", age_s=0.03)
    scene.room.hear(joints, scene.clock.steady_ns())
    (update,) = read(scene.consumer)
    assert (update["source"], update["unit"], update["age_ms"]) == ("guard", "degrees", 30.0)
    assert scene.to_ros == []


@pytest.mark.parametrize(
    ("settings", "vocabulary", "unit"),
    [
        ({}, None, ""),
        ({"unit": "degrees"}, None, "degrees"),
        ({}, JointVocabulary(("shoulder_pan", "gripper"), "normalized"), "normalized"),
    ],
)
def test_the_unit_of_a_ros_node_is_that_of_its_own_values_only(
    settings: dict[str, Any], vocabulary: JointVocabulary | None, unit: str
) -> None:
    scene = Scene(**settings)
    if vocabulary is not None:
        scene.room.joints = lambda: vocabulary
    scene.room.leave(scene.producer)
    read(scene.consumer)
    scene.room.hear(RoomJoints(("gripper",), (0.5,), "radians"), scene.clock.steady_ns())
    assert read(scene.consumer)[-1]["unit"] == "radians"
    sync, joined = read(enter(scene.room, "late"))
    assert (sync["unit"], sync["data"], joined["unit"]) == ("radians", {"gripper": 0.5}, unit)
    producer = enter(scene.room, "q", "producer")
    assert read(producer)[-1]["unit"] == unit
    scene.room.hear(RoomJoints(("gripper",), (0.5,), "radians"), scene.clock.steady_ns())
    scene.say({"shoulder_pan": 45.0}, by=producer)
    update = read(scene.consumer)[-1]
    assert (update["unit"], update["data"]) == (unit, [{"name": "shoulder_pan", "value": 45.0}])
    assert scene.to_ros[-1].unit == unit
    assert scene.room.latched_state()["joints"] == {"shoulder_pan": 45.0}


def test_values_of_one_producer_are_not_told_as_the_next_one_s() -> None:
    scene = Scene()
    scene.say({"a": 1.0, "b": 2.0})
    scene.room.leave(scene.producer)
    scene.say({"a": 9.0}, by=enter(scene.room, "q", "producer"))
    update = read(scene.consumer)[-1]
    assert (update["source"], update["data"]) == ("q", [{"name": "a", "value": 9.0}])


def test_a_latched_room_shows_a_ros_node_s_values_only_when_it_is_a_session_s() -> None:
    for tie, shown in ((None, []), (Tie("s", "arm"), ["joint_update"])):
        scene = Scene(tie)
        scene.room.emergency_stop("c", "stop")
        read(scene.consumer)
        scene.room.hear(RoomJoints(("a",), (1.0,)), scene.clock.steady_ns())
        assert [message["type"] for message in read(scene.consumer)] == shown


@pytest.mark.parametrize(
    "joints",
    [
        RoomJoints(("a",), (float("nan"),)),
        RoomJoints(("a",), (float("inf"),)),
        RoomJoints(("a", "b"), (1.0,)),
        RoomJoints((), ()),
        RoomJoints(("a",), (1.0,), age_s=float("nan")),
        RoomJoints(tuple(f"j{i}" for i in range(100)), (1.0,) * 100),
    ],
)
def test_what_is_unusable_on_the_topic_is_counted_and_left_out(joints: RoomJoints) -> None:
    scene = Scene()
    scene.room.hear(joints, scene.clock.steady_ns())
    assert scene.room.refused_from_ros == 1 and read(scene.consumer) == []


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"), st.floats(allow_nan=True) | st.none() | st.text(max_size=2), min_size=1
        ),
        max_size=10,
    )
)
def test_what_comes_out_is_always_json_of_finite_numbers(updates: list[dict[str, Any]]) -> None:
    scene = Scene()
    for data in updates:
        scene.say(data)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    while (parcel := scene.consumer.mailbox.take_now()) is not None:
        assert isinstance(parcel, str)
        message = json.loads(parcel, parse_constant=refuse)
        assert all(-360 <= entry["value"] <= 360 for entry in message["data"])
    assert all(-360 <= value <= 360 for value in scene.room.state.values())


def test_a_consumer_learns_that_the_producer_left() -> None:
    scene = Scene()
    scene.room.leave(scene.producer)
    (told,) = read(scene.consumer)
    assert (told["type"], told["status"], told["data"]) == (
        "status_update",
        "producer_left",
        {"participant_id": "p"},
    )
