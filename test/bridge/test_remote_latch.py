# SPDX-License-Identifier: Apache-2.0
"""An e-stop is said on both arenas, also when nobody could be told at that moment."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from lerobot_arena.testing.remote_pair import ARM, CAMERA, INPUT, OUTPUT, Pair, remote_pair, until

ROOMS = (INPUT, OUTPUT, CAMERA)


@pytest.fixture
def joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    with remote_pair(tmp_path) as pair:
        pair.join()
        yield pair


def stop_here(pair: Pair) -> None:
    assert httpx.post(f"{pair.brain.url}/api/control/estop").status_code == 200
    until(lambda: pair.is_latched(pair.brain, OUTPUT), "the guard to latch")


def stops_of(pair: Pair) -> int:
    return pair.brain.fake.calls.count((ARM, "estop"))


def test_an_estop_here_while_the_other_arena_is_away_is_told_when_it_is_back(joined: Pair) -> None:
    joined.home.stop()
    until(lambda: not any(room["is_connected"] for room in joined.remote()["rooms"].values()), "the break")
    stop_here(joined)
    joined.home.start()
    for room in ROOMS:
        until(partial(joined.is_latched, joined.home, room), f"{room} to be latched there", 60.0)


def test_an_estop_there_while_nobody_could_be_told_stops_the_arm_here(joined: Pair) -> None:
    joined.cut(OUTPUT, lambda room: room.emergency_stop("operator", "hand in the way"))
    until(lambda: stops_of(joined), "the guard to be stopped")
    until(lambda: "reset it there" in joined.detail(OUTPUT), "the latch to be shown")


def test_an_estop_in_a_cameras_room_there_stops_as_well(joined: Pair) -> None:
    joined.cut(CAMERA, lambda room: room.emergency_stop("watcher", "smoke"))
    until(lambda: stops_of(joined), "the guard to be stopped")


def test_a_stop_of_our_own_does_not_come_back_after_the_reset(joined: Pair) -> None:
    stop_here(joined)
    until(lambda: joined.is_latched(joined.home, OUTPUT), "the room there to be latched")
    stops = stops_of(joined)
    assert httpx.post(f"{joined.brain.url}/api/control/reset?arm={ARM}").status_code == 200
    until(lambda: not joined.is_latched(joined.brain, OUTPUT), "the reset")
    joined.cut_and_back(OUTPUT)
    assert stops_of(joined) == stops and not joined.is_latched(joined.brain, OUTPUT)
    assert "reset it there" in joined.detail(OUTPUT)


def test_an_estop_over_a_stalled_link_is_told_when_it_flows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARENA_CONFIG_DIR", str(tmp_path / "config"))
    with remote_pair(tmp_path, has_proxy=True) as pair:
        assert pair.proxy is not None
        pair.join()
        pair.home.on_loop(pair.proxy.stall)
        stop_here(pair)
        # Longer than the link is believed to live: it is the next connection that has to tell.
        until(lambda: "nswer" in pair.detail(OUTPUT) or "let us go" in pair.detail(OUTPUT), "the break", 30.0)
        assert not pair.is_latched(pair.home, OUTPUT)
        pair.home.on_loop(pair.proxy.flow)
        for room in ROOMS:
            until(partial(pair.is_latched, pair.home, room), f"{room} to be latched there", 60.0)
