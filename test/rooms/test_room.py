# SPDX-License-Identifier: Apache-2.0
"""Who is in a room, in which role, and what everybody is told. A machine of all moves holds the room to its rules."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.room import Place, Tie
from lerobot_arena.rooms.video import VideoRoom, VideoSettings
from lerobot_arena.testing.room_rig import enter, make_room, read, refusal_of


def test_a_consumer_is_greeted_with_the_state_first_and_a_producer_with_joined_only() -> None:
    room = make_room()
    assert [message["type"] for message in read(enter(room, "c"))] == ["state_sync", "joined"]
    joined = read(enter(room, "p", "producer"))
    assert [message["type"] for message in joined] == ["joined"]
    assert joined[0].keys() >= {"room_id", "workspace_id", "role", "timestamp", "resume", "estop_latched"}


def test_there_is_one_producer_and_no_more_consumers_than_asked_for() -> None:
    room = make_room(max_consumers=2)
    enter(room, "p", "producer")
    assert refusal_of(room, "q", "producer") == "producer_taken"
    enter(room, "c1")
    enter(room, "c2")
    assert refusal_of(room, "c3") == "room_full"
    assert room.participants() == {"producer": "p", "consumers": ["c1", "c2"], "total": 3}


def test_ids_are_of_one_room_only() -> None:
    first, second = make_room(), make_room()
    in_first, in_second = enter(first, "me"), enter(second, "me")
    first.leave(in_first)
    assert second.members == {"me": in_second}


def test_the_same_id_is_refused_unless_it_resumes_with_its_token() -> None:
    room = make_room()
    old = enter(room, "p", "producer")
    token = read(old)[0]["resume"]
    assert refusal_of(room, "p", "producer") == "participant_taken"
    assert refusal_of(room, "p", "producer", resume="x" * 24) == "participant_taken"
    assert refusal_of(room, "p", "consumer", resume=token) == "participant_taken"
    assert refusal_of(room, "p", "producer", resume=token, who="eve") == "participant_taken"
    old.delay.delay_s(100, 1_000_000_100)
    new = enter(room, "p", "producer", resume=token)
    assert read(old) == [{"close": 4412}]
    assert new.delay is old.delay, "its clock is known already"
    # The old socket ends after the new one took its place.
    room.leave(old)
    assert room.producer is new
    assert read(new)[0]["resume"] != token


def test_who_comes_back_after_a_break_is_known_by_the_token() -> None:
    clock = ManualClock()
    room = make_room(clock)
    first = enter(room, "p", "producer")
    token = read(first)[0]["resume"]
    room.leave(first)
    assert enter(room, "p", "producer", resume=token).delay is first.delay
    room.leave(room.members["p"])
    assert enter(room, "p", "producer", resume="wrong").delay is not first.delay


def test_a_silent_producer_gives_way_to_one_that_comes_and_is_told() -> None:
    clock = ManualClock()
    room = make_room(clock, takeover_s=10.0)
    silent = enter(room, "p", "producer")
    read(silent)
    clock.advance(9.9)
    assert refusal_of(room, "q", "producer") == "producer_taken"
    clock.advance(0.2)
    enter(room, "q", "producer")
    stale, closed = read(silent)
    assert (stale["type"], stale["code"], closed) == ("error", "stale", {"close": 4408})
    assert room.participants()["producer"] == "q"


def test_a_video_producer_may_be_silent_for_ever() -> None:
    """Its pictures go another way, so that its silence means nothing."""
    clock = ManualClock()
    room = VideoRoom(Place("video", "w", "v"), clock, owner="ada", settings=VideoSettings())
    enter(room, "p", "producer")
    clock.advance(1e5)
    assert refusal_of(room, "q", "producer") == "producer_taken"


def test_where_the_robot_side_produces_no_client_does() -> None:
    assert refusal_of(make_room(tie=Tie("s", "arm", is_ros_only=True)), "p", "producer") == "ros_only"
    room = make_room()
    room.ros_producers = 1
    assert refusal_of(room, "p", "producer") == "ros_produces"
    enter(room, "c")
    assert room.participants() == {"producer": "ros", "consumers": ["c"], "total": 1}


def test_a_room_that_closes_tells_everybody_and_lets_them_go() -> None:
    room = make_room()
    members = [enter(room, "p", "producer"), enter(room, "c1"), enter(room, "c2")]
    for member in members:
        read(member)
    room.close("deleted")
    for member in members:
        told, closed = read(member)
        assert (told["type"], told["reason"], closed) == ("room_closed", "deleted", {"close": 4410})
    assert not room.members


def test_an_e_stop_is_told_to_all_first_and_stays_until_it_is_released() -> None:
    room = make_room()
    producer, consumer = enter(room, "p", "producer"), enter(room, "c")
    read(producer)
    read(consumer)
    room.emergency_stop("c", "too close")
    for member in (producer, consumer):
        assert [(m["type"], m["source"], m["reason"], m["estop_latched"]) for m in read(member)] == [
            ("emergency_stop", "c", "too close", True)
        ]
    assert read(enter(room, "late"))[0]["estop_latched"] is True
    assert room.release("ada")
    assert not room.release("ada")
    assert [(m["type"], m["status"], m["estop_latched"]) for m in read(consumer)] == [
        ("status_update", "estop_reset", False)
    ]


def test_a_client_that_repeats_its_e_stop_pushes_nobody_out() -> None:
    clock = ManualClock()
    room = make_room(clock)
    loud, quiet = enter(room, "loud"), enter(room, "quiet")
    read(quiet)
    for _ in range(1000):
        room.emergency_stop("loud", "!")
    assert len(read(quiet)) == 1
    assert loud.mailbox.is_closing, "who reads nothing of what it asks for is let go"
    clock.advance(1.0)
    room.emergency_stop("loud", "again")
    assert [message["reason"] for message in read(quiet)] == ["again"]


class Moves(RuleBasedStateMachine):
    """Any order of joins, leaves, resumes, silence, e-stops and the end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.room = make_room(self.clock, max_consumers=3, takeover_s=5.0)
        self.tokens: dict[str, str] = {}
        self.gone: list[Member] = []
        self.everybody: list[Member] = []

    @rule(
        name=st.sampled_from("abcde"), role=st.sampled_from(["producer", "consumer"]), resumes=st.booleans()
    )
    def join(self, name: str, role: str, resumes: bool) -> None:
        before = dict(self.room.members)
        try:
            member = enter(self.room, name, role, resume=self.tokens.get(name, "") if resumes else "")
        except ArenaError as error:
            assert error.code in {"participant_taken", "producer_taken", "room_full"}
            assert self.room.members == before, "a refusal changes nothing"
            return
        self.tokens[name] = member.token
        self.everybody.append(member)
        self.gone += [old for old in before.values() if self.room.members.get(old.participant_id) is not old]

    @precondition(lambda self: self.everybody)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Also of sockets that were replaced long ago."""
        member = data.draw(st.sampled_from(self.everybody))
        self.room.leave(member)
        self.gone.append(member)

    @rule(seconds=st.floats(0.0, 6.0))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(source=st.sampled_from("abcde"))
    def stop(self, source: str) -> None:
        self.room.emergency_stop(source, "stop")

    @rule()
    def release(self) -> None:
        self.room.release("x")

    @invariant()
    def the_rules_hold(self) -> None:
        members = list(self.room.members.values())
        assert sum(member.is_producer for member in members) <= 1
        assert len(self.room.consumers) <= 3
        assert all(name == member.participant_id for name, member in self.room.members.items())
        assert len({id(member) for member in members}) == len(members)
        assert not any(member in self.gone for member in members), "who left or was replaced is not here"
        assert not any(member.mailbox.is_closing for member in members), "who is here is not being let go"


Moves.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMoves = Moves.TestCase
