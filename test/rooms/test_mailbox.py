# SPDX-License-Identifier: Apache-2.0
"""What waits for a participant: bounded, nothing lost silently, the newest of what only the newest matters of."""

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.rooms.mailbox import MAX_URGENT, Closing, JointNews, Mailbox, with_text
from lerobot_arena.rooms.refusals import Close

NAMES = ("a", "b", "c")


def news(clock: ManualClock, seq: int, *, age_s: float = 0.0, **values: float) -> JointNews:
    entries = {name: {"name": name, "value": value} for name, value in values.items()}
    now_ns = clock.steady_ns()
    return with_text(JointNews(entries, seq, "p", "degrees", now_ns - round(age_s * 1e9), now_ns, seq * 10))


def values_of(message: dict[str, Any]) -> dict[str, float]:
    return {entry["name"]: entry["value"] for entry in message["data"]}


def taken(box: Mailbox) -> dict[str, Any] | None:
    parcel = box.take_now()
    assert parcel is None or isinstance(parcel, str)
    return None if parcel is None else json.loads(parcel)


updates = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), st.floats(-100, 100), min_size=1),
        st.booleans(),
        st.floats(0.0, 0.4),
    ),
    max_size=30,
)


@given(updates)
def test_a_consumer_of_any_speed_ends_with_the_values_of_a_fast_one(
    steps: list[tuple[dict[str, float], bool, float]],
) -> None:
    """Whatever is merged while it does not read, no joint's newest value is lost, and ages are never understated."""
    clock = ManualClock()
    box = Mailbox(clock.steady_ns)
    known: dict[str, float] = {}
    born: dict[str, int] = {}
    seen: dict[str, float] = {}
    said = 0
    for seq, (values, is_read, wait_s) in enumerate(steps, 1):
        box.put_joints(news(clock, seq, **values))
        known |= values
        born |= dict.fromkeys(values, clock.steady_ns())
        clock.advance(wait_s)
        said += 1
        if is_read and (message := taken(box)) is not None:
            seen |= values_of(message)
            oldest_ms = (clock.steady_ns() - min(born[name] for name in values_of(message))) / 1e6
            assert message["seq"] == seq
            # Within what is sent as it was serialised for everybody.
            assert message["age_ms"] >= oldest_ms - 2.001
            assert message.get("merged", 1) == said
            said = 0
    while (message := taken(box)) is not None:
        seen |= values_of(message)
    assert seen == known
    assert box.take_now() is None


@given(
    st.lists(st.sampled_from(["event", "urgent", "joints", "frame", "error", "take"]), max_size=60),
    st.integers(1, 8),
)
def test_events_come_in_order_and_complete_or_the_connection_is_closed(steps: list[str], most: int) -> None:
    clock = ManualClock()
    box = Mailbox(clock.steady_ns, max_events=most)
    put = taken_events = 0
    waiting_urgent = 0
    for step in steps:
        if step == "event":
            box.put_event(f'{{"event":{put}}}')
            put += 1
        elif step == "urgent":
            box.put_urgent('{"urgent":1}')
            waiting_urgent += 1
        elif step == "joints":
            box.put_joints(news(clock, 1, a=1.0))
        elif step == "frame":
            box.put_frame(b"f")
        elif step == "error":
            box.put_error("c", "m")
        else:
            parcel = box.take_now()
            if isinstance(parcel, str) and "urgent" in parcel:
                waiting_urgent -= 1
            elif waiting_urgent and not box.is_closing:
                raise AssertionError("an e-stop waited behind something else")
            elif isinstance(parcel, str) and "event" in parcel:
                assert json.loads(parcel) == {"event": taken_events}
                taken_events += 1
        assert box.waiting <= most + MAX_URGENT + 1
        if box.is_closing:
            assert box.overflowed
            assert box.take_now() == Closing(Close.TOO_SLOW, "too slow: events were not read")
            return
    assert put - taken_events <= most


def test_a_fresh_update_is_the_text_that_everybody_gets_and_a_late_one_says_its_age() -> None:
    clock = ManualClock()
    box = Mailbox(clock.steady_ns)
    first = news(clock, 1, age_s=0.02, a=1.0)
    box.put_joints(first)
    assert box.take_now() is first.text
    assert json.loads(first.text)["age_ms"] == 20.0
    box.put_joints(news(clock, 2, age_s=0.02, a=1.0))
    clock.advance(0.1)
    late = taken(box)
    assert late is not None and late["age_ms"] == 120.0 and late["stamp_mono_ns"] == 20


def test_an_e_stop_forgets_what_waits_to_be_executed() -> None:
    clock = ManualClock()
    box = Mailbox(clock.steady_ns)
    box.put_event('{"a":1}')
    box.put_joints(news(clock, 1, a=1.0))
    box.drop_joints()
    box.put_urgent('{"stop":1}')
    assert [box.take_now() for _ in range(3)] == ['{"stop":1}', '{"a":1}', None]


def test_refusals_of_one_kind_are_counted_instead_of_piled_up() -> None:
    box = Mailbox(ManualClock().steady_ns)
    for _ in range(5000):
        box.put_error("stale", "too old", age_ms=700.0)
    box.put_error("joint_unknown", "no such joint")
    first, second = taken(box), taken(box)
    assert first is not None and (first["code"], first["count"], first["age_ms"]) == ("stale", 5000, 700.0)
    assert second is not None and second["code"] == "joint_unknown" and "count" not in second
    assert box.take_now() is None


def test_only_the_newest_picture_waits() -> None:
    box = Mailbox(ManualClock().steady_ns)
    for picture in (b"1", b"2", b"3"):
        box.put_frame(picture)
    assert (box.take_now(), box.take_now(), box.frames_dropped) == (b"3", None, 2)


def test_the_last_words_come_before_the_close_and_nothing_after() -> None:
    clock = ManualClock()
    box = Mailbox(clock.steady_ns)
    box.put_joints(news(clock, 1, a=1.0))
    box.put_event('{"type":"room_closed"}')
    box.close(Close.ROOM_CLOSED, "room closed")
    box.close(Close.TOO_SLOW, "another reason")
    box.put_event('{"late":1}')
    box.put_urgent('{"late":1}')
    box.put_frame(b"late")
    assert box.take_now() == '{"type":"room_closed"}'
    assert box.take_now() == box.take_now() == Closing(Close.ROOM_CLOSED, "room closed")


async def test_take_waits_until_there_is_something() -> None:
    box = Mailbox(ManualClock().steady_ns)
    waiting = asyncio.create_task(box.take())
    await asyncio.sleep(0)  # the task's turn
    assert not waiting.done()
    box.put_event('{"a":1}')
    assert await waiting == '{"a":1}'
    closing = asyncio.create_task(box.closed())
    await asyncio.sleep(0)  # the task's turn
    assert not closing.done()
    box.close(Close.LEFT, "left")
    await closing


def test_events_are_bounded_in_bytes_too_but_one_is_always_taken() -> None:
    box = Mailbox(ManualClock().steady_ns)
    box.put_event("x" * 2_000_000)
    assert not box.is_closing
    assert box.take_now() == "x" * 2_000_000
    for _ in range(200):
        for _ in range(15):
            box.put_event("y" * 60_000)
        for _ in range(15):
            assert box.take_now() == "y" * 60_000
    assert not box.is_closing, "what was read no longer counts"
    for _ in range(17):
        box.put_event("z" * 60_000)
    assert box.overflowed
    last = box.take_now()
    assert isinstance(last, Closing) and last.code == Close.TOO_SLOW
