# SPDX-License-Identifier: Apache-2.0
"""What is on offer as the graph changes, and who watches it."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.inspection.audience import Audience
from lerobot_arena.inspection.offer import Offer


def test_what_appears_is_offered_once() -> None:
    offer = Offer(10.0)
    assert offer.update({"/a": "T", "/b": "T"}, 0.0).offered == {"/a": "T", "/b": "T"}
    change = offer.update({"/a": "T", "/b": "T"}, 1.0)
    assert not change.offered and not change.withdrawn


def test_what_goes_for_a_moment_stays_on_offer() -> None:
    offer = Offer(10.0)
    offer.update({"/a": "T"}, 0.0)
    assert offer.update({}, 10.0).withdrawn == ()
    assert offer.update({"/a": "T"}, 10.5).offered == {}
    assert offer.update({}, 20.6).withdrawn == ("/a",)
    assert offer.types == {}


def test_another_type_is_another_topic() -> None:
    offer = Offer(10.0)
    offer.update({"/a": "T"}, 0.0)
    change = offer.update({"/a": "U"}, 0.1)
    assert (change.withdrawn, change.offered) == (("/a",), {"/a": "U"})


def test_what_could_not_be_offered_is_tried_again() -> None:
    offer = Offer(10.0)
    offer.update({"/a": "T"}, 0.0)
    offer.forget("/a")
    assert offer.update({"/a": "T"}, 0.1).offered == {"/a": "T"}


NAMES = st.sampled_from(["/a", "/b", "/c"])


@given(st.lists(st.tuples(st.dictionaries(NAMES, st.sampled_from("TU")), st.floats(0.0, 15.0)), max_size=30))
def test_changes_add_up_to_what_is_on_offer(steps: list[tuple[dict[str, str], float]]) -> None:
    offer, now_s, told = Offer(10.0), 0.0, dict[str, str]()
    for found, wait_s in steps:
        now_s += wait_s
        change = offer.update(found, now_s)
        for name in change.withdrawn:
            del told[name]
        assert not told.keys() & change.offered.keys()
        told |= change.offered
        assert told == offer.types and found.items() <= told.items()


def test_a_topic_is_watched_from_the_first_to_the_last() -> None:
    news: list[int] = []
    audience = Audience(lambda: news.append(1))
    audience.enter(1, "/a")
    audience.enter(2, "/a")
    audience.leave(1, "/a")
    assert (
        audience.watched() == {"/a"} and audience.arrivals() == {"/a"} and audience.arrivals() == frozenset()
    )
    audience.leave(2, "/a")
    audience.leave(2, "/a")
    audience.leave(3, "/never")
    assert audience.watched() == frozenset() and len(news) == 6


def test_clients_on_many_threads_leave_nothing_behind() -> None:
    audience = Audience(lambda: None)

    def come_and_go(client: int) -> None:
        for turn in range(500):
            audience.enter(client, f"/{turn % 3}")
            audience.leave(client, f"/{turn % 3}")

    threads = [threading.Thread(target=come_and_go, args=(client,)) for client in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audience.watched() == frozenset()
