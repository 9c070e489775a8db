# SPDX-License-Identifier: Apache-2.0
"""The bounded queue: what gives way, and that nothing is lost uncounted."""

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.recording.queue import BoundedQueue, Item, Rank, Topic
from lerobot_arena.recording.ranking import Ranking
from lerobot_arena.testing.cdr_messages import CYCLE, cycle, image, message

TOPICS = {rank: Topic(f"/{rank.name}", "t") for rank in Rank}


def item(rank: Rank, size: int = 1, log_ns: int = 0) -> Item:
    return Item(TOPICS[rank], bytes(size), log_ns, rank)


def drained(queue: BoundedQueue) -> list[Item]:
    return list(iter(queue.take, None))


@given(
    st.lists(st.tuples(st.sampled_from(Rank), st.integers(1, 40), st.booleans()), max_size=80),
    st.integers(40, 120),
    st.integers(1, 20),
)
def test_bounds_hold_order_holds_and_every_drop_is_counted(
    puts: list[tuple[Rank, int, bool]], max_bytes: int, max_messages: int
) -> None:
    queue = BoundedQueue(max_bytes, max_messages)
    taken: list[Item] = []
    for number, (rank, size, is_taking) in enumerate(puts):
        queue.put(item(rank, size, number))
        assert len(queue) <= max_messages and queue.bytes_held <= max_bytes
        if is_taking and (one := queue.take()) is not None:
            taken.append(one)
    taken += drained(queue)
    assert [one.log_ns for one in taken] == sorted(one.log_ns for one in taken)
    assert len(taken) + queue.dropped.total() == len(puts)
    assert queue.bytes_held == len(queue) == 0


@given(st.lists(st.sampled_from(Rank), min_size=1, max_size=60), st.integers(1, 10))
def test_nothing_is_dropped_while_something_of_less_weight_is_held(ranks: list[Rank], limit: int) -> None:
    queue = BoundedQueue(1000, limit)
    for rank in ranks:
        queue.put(item(rank))
    kept = sorted(one.rank for one in drained(queue))
    assert kept == sorted(ranks)[-len(kept) :] and len(kept) == min(limit, len(ranks))


def test_pass_cycles_go_first_then_pictures_and_a_violation_evicts_the_oldest() -> None:
    queue = BoundedQueue(1000, 3)
    for number, rank in enumerate([Rank.VIOLATION, Rank.IMAGE, Rank.PASS]):
        queue.put(item(rank, log_ns=number))
    queue.put(item(Rank.VIOLATION, log_ns=3))
    queue.put(item(Rank.VIOLATION, log_ns=4))
    assert queue.dropped == {"/PASS": 1, "/IMAGE": 1}
    queue.put(item(Rank.VIOLATION, log_ns=5))
    assert [one.log_ns for one in drained(queue)] == [3, 4, 5]
    assert queue.dropped["/VIOLATION"] == 1


def test_a_pass_cycle_does_not_displace_what_weighs_more() -> None:
    queue = BoundedQueue(1000, 1)
    queue.put(item(Rank.PLAIN))
    assert not queue.put(item(Rank.PASS)) and queue.dropped == {"/PASS": 1}


def test_a_message_larger_than_the_queue_goes_through_alone() -> None:
    queue = BoundedQueue(10, 10)
    assert queue.put(item(Rank.VIOLATION, 11))
    assert len(drained(queue)) == 1


@given(st.lists(st.sampled_from([Rank.PASS, Rank.VIOLATION, Rank.PLAIN]), max_size=30), st.integers(0, 5))
def test_what_is_promoted_keeps_its_place(ranks: list[Rank], count: int) -> None:
    queue = BoundedQueue(10**6, 1000)
    for number, rank in enumerate(ranks):
        queue.put(item(rank, log_ns=number))
    newest = [number for number, rank in enumerate(ranks) if rank is Rank.PASS][-count:] if count else []
    queue.promote(lambda one: one.log_ns in newest)
    taken = drained(queue)
    assert [one.log_ns for one in taken] == list(range(len(ranks)))
    assert {one.log_ns for one in taken if one.rank is Rank.VIOLATION} >= set(newest)


def test_ranks_are_told_from_the_bytes() -> None:
    ranking = Ranking()
    layer = "lerobot_arena/msg/GuardLayer"
    assert ranking.of("sensor_msgs/msg/Image", image()) is Rank.IMAGE
    assert ranking.of("sensor_msgs/msg/JointState", message("sensor_msgs/msg/JointState")) is Rank.PLAIN
    assert ranking.of(CYCLE, cycle(1)) is Rank.PASS
    assert ranking.of(layer, message(layer, cycle_id=1)) is Rank.PASS
    assert ranking.of(CYCLE, cycle(2, decision=1)) is Rank.PLAIN
    assert ranking.of(CYCLE, cycle(3, decision=2)) is Rank.VIOLATION
    assert ranking.of(layer, message(layer, cycle_id=3)) is Rank.VIOLATION
    assert ranking.of(layer, message(layer, cycle_id=4)) is Rank.PASS
    assert ranking.of("lerobot_arena/msg/ContextEvent", b"") is Rank.VIOLATION
    assert ranking.of(CYCLE, b"\0") is Rank.PLAIN  # broken: kept to be seen
