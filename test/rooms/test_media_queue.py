# SPDX-License-Identifier: Apache-2.0
"""Signals that wait: a flood of one client's leaves a place for who comes and goes."""

import pytest

from lerobot_arena.core.errors import TooMany
from lerobot_arena.core.room import CLOSE, DROP, ICE, OFFER, OPEN, WANT
from lerobot_arena.rooms.media_queue import MOST_WAITING, SignalQueue
from lerobot_arena.rooms.media_wire import signal


async def taken(queue: SignalQueue) -> list[tuple[str, str, str]]:
    found = []
    while not queue.is_empty:
        got = await queue.get()
        found.append((got.kind, got.participant, got.payload))
    return found


async def test_who_comes_and_goes_finds_a_place_among_too_many_candidates() -> None:
    queue = SignalQueue()
    for _ in range(MOST_WAITING):
        queue.put(signal("/t", ICE, "mallory"))
    with pytest.raises(TooMany):
        queue.put(signal("/t", ICE, "mallory"))
    queue.put(signal("/t", WANT, "ann"))
    queue.put(signal("/t", DROP, "robot"))
    assert [kind for kind, _, _ in (await taken(queue))[-2:]] == [WANT, DROP]
    queue.put(signal("/t", OFFER, "robot"))
    queue.put(signal("/t", CLOSE))
    assert [kind for kind, _, _ in await taken(queue)] == [CLOSE]


async def test_of_who_is_there_and_how_the_room_is_only_the_newest_waits() -> None:
    queue = SignalQueue()
    for number in range(1000):
        queue.put(signal("/t", OPEN, payload={"n": number}))
        queue.put(signal("/t", WANT, "p", {"n": number}))
        if number == 0:
            queue.put(signal("/t", OFFER, "p"))
    assert await taken(queue) == [(OPEN, "", '{"n":999}'), (WANT, "p", '{"n":999}'), (OFFER, "p", "{}")]
    for _ in range(1000):
        queue.put(signal("/t", WANT, "p"))
        queue.put(signal("/t", DROP, "p"))
        queue.put(signal("/t", WANT, "p"))
    assert [kind for kind, _, _ in await taken(queue)] == [DROP, WANT]
