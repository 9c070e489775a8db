# SPDX-License-Identifier: Apache-2.0
"""Rooms as a client sees them, on the real server: values and pictures through, breaks mended, nothing stale."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from lerobot_arena.client import AsyncArena, sockets
from lerobot_arena.client import room_link as links
from lerobot_arena.core.errors import Conflict, InvalidInput, NotAnswering, NotFound, TooLarge, Unavailable
from lerobot_arena.testing.live_bridge import LiveBridge
from lerobot_arena.testing.stalling_proxy import StallingProxy

JPEG = (
    b"\xff\xd8"
    + b"\xff\xc0\x00\x11\x08\x00\x10\x00\x20\x03"
    + b"\x01\x11\x00\x02\x11\x01\x03\x11\x01"
    + (b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00")
)


def picture(number: int, size: int = 3000) -> bytes:
    """What a room takes for a JPEG of 32×16; nobody decodes it."""
    return JPEG + number.to_bytes(4) + b"\x55" * size + b"\xff\xd9"


async def until(look: Callable[[], Any], what: str, timeout_s: float = 8.0) -> Any:
    begin = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - begin < timeout_s, what
        await asyncio.sleep(0.01)  # how often it looks; the bridge has a thread of its own
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead connection is noticed within a second."""
    monkeypatch.setattr(sockets, "PING_EVERY_S", 0.3)
    monkeypatch.setattr(sockets, "PONG_WITHIN_S", 0.5)
    monkeypatch.setattr(links, "HEARTBEAT_S", 0.1)


@pytest.mark.parametrize("mount", ["", "/api", "/api/"])
async def test_values_go_through_both_mounts(bridge: LiveBridge, mount: str) -> None:
    async with AsyncArena(bridge.url + mount) as arena:
        await arena.robotics.create("w", "r")
        producer = arena.join_robotics("w", "r", role="producer", participant_id="robot")
        async with producer, arena.join_robotics("w", "r", max_age_s=5.0) as consumer:
            for number in range(3):
                # The same again is told again: a robot that holds still is not a dead one.
                assert producer.send_joints({"elbow": 7.5, "wrist": -number})
                update = await consumer.next(10.0)
                assert update is not None and update.joints == {"elbow": 7.5, "wrist": -number}
                assert (update.seq, update.missed, update.source) == (number + 1, 0, "robot")
                assert 0 <= update.age_s < 5.0
            newest = consumer.newest()
            assert newest is not None and newest.joints["wrist"] == -2
            assert consumer.state == {"elbow": 7.5, "wrist": -2}
            assert producer.is_live and producer.rtt_s is not None
        assert not producer.is_live and not producer.send_joints({"elbow": 1.0})


async def test_a_consumer_that_looks_away_gets_every_joint_once(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        async with (
            arena.join_robotics("w", "r", role="producer") as producer,
            arena.join_robotics("w", "r", max_age_s=5.0) as consumer,
        ):
            for number in range(20):
                producer.send_joints({"ab"[number % 2]: float(number)})
                await asyncio.sleep(0.01)  # a producer at 100 Hz
            await until(lambda: consumer.state == {"a": 18.0, "b": 19.0}, "not all arrived")
            update = await consumer.next(1.0)
            assert update is not None and update.joints == {"a": 18.0, "b": 19.0}
            assert update.merged + producer.link.outgoing.merged == 20
            assert await consumer.next(0.1) is None


async def test_what_waited_too_long_is_not_handed_out(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        async with (
            arena.join_robotics("w", "r", role="producer") as producer,
            arena.join_robotics("w", "r", max_age_s=1.5) as consumer,
        ):
            producer.send_joints({"a": 1.0})
            assert await consumer.next(2.0) is not None
            producer.send_joints({"a": 2.0})
            await until(lambda: consumer.state == {"a": 2.0}, "it did not arrive")
            await asyncio.sleep(1.7)  # the age limit passes: staleness is the case
            assert consumer.newest() is None
            assert await consumer.next(0.1) is None
            assert consumer.counters["stale"] == 1
            # Measured long ago by its own account: the room refuses it, and says so.
            producer.send_joints({"a": 3.0}, stamp_ns=time.monotonic_ns() - 2_000_000_000)
            await until(lambda: producer.counters["refused:stale"], "it was not refused")


async def test_a_stalled_link_delivers_nothing_late(bridge: LiveBridge) -> None:
    """Either way: what waited in the producer's or the consumer's sockets is refused, whatever the backlog."""
    clock = time.monotonic()
    seen: list[float] = []
    async with (
        StallingProxy(bridge.url) as uplink,
        StallingProxy(bridge.url) as downlink,
        AsyncArena(uplink.url) as there,
        AsyncArena(downlink.url) as here,
    ):
        await there.robotics.create("w", "r")
        producer = there.join_robotics("w", "r", role="producer")
        consumer = here.join_robotics("w", "r", max_age_s=0.3)
        consumer.on_update = lambda update: seen.append(time.monotonic() - clock - update.joints["t"])
        async with producer, consumer:

            async def produce(seconds: float) -> None:
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    producer.send_joints({"t": time.monotonic() - clock})
                    await asyncio.sleep(0.01)  # a producer at 100 Hz

            await produce(0.5)
            for proxy in (uplink, downlink):
                proxy.stall()
                await produce(1.2)
                before = len(seen)
                proxy.flow()
                await produce(0.5)
                assert len(seen) > before + 10, "it did not go on"
            assert max(seen) < 0.45, (
                f"{max(seen):.2f} s old, {dict(producer.counters)} {dict(consumer.counters)}"
            )


async def test_a_break_is_mended_with_the_same_place(bridge: LiveBridge, quick: None) -> None:
    async with StallingProxy(bridge.url) as proxy, AsyncArena(proxy.url) as arena:
        await arena.robotics.create("w", "r", max_consumers=1)
        changes: list[tuple[bool, str]] = []
        producer = arena.join_robotics("w", "r", role="producer", participant_id="robot")
        consumer = arena.join_robotics("w", "r", participant_id="brain", max_age_s=5.0)
        producer.on_change = lambda is_up, reason: changes.append((is_up, reason))
        async with producer, consumer:
            proxy.cut()
            await until(
                lambda: producer.counters["reconnects"] and consumer.counters["reconnects"], "no return"
            )
            await until(lambda: producer.is_live and consumer.is_live, "not live")
            # Silence of the network, not of the socket: the old connection still sits in the room.
            proxy.stall()
            await until(
                lambda: not producer.link.is_joined and not consumer.link.is_joined, "it was not noticed"
            )
            assert not producer.send_joints({"a": 1.0})
            proxy.flow()
            await until(lambda: producer.is_live and consumer.is_live, "not live again")
            producer.send_joints({"a": 2.0})
            update = await consumer.next(10.0)
            assert update is not None and update.joints == {"a": 2.0}
            # A cable is pulled: the server takes the old connection for alive, and lets us have its place.
            before = producer.counters["reconnects"], consumer.counters["reconnects"]
            proxy.lose()
            await until(lambda: producer.counters["reconnects"] > before[0], "not let in again", 4.0)
            await until(lambda: consumer.counters["reconnects"] > before[1], "not let in again", 4.0)
            assert (await arena.robotics.get("w", "r"))["participants"]["total"] == 2
        assert [is_up for is_up, _ in changes] == [True, False, True, False, True, False, True]
        assert all(reason for is_up, reason in changes if not is_up)


async def test_a_bridge_that_restarts_is_waited_for(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        async with (
            arena.join_robotics("w", "r", role="producer") as producer,
            arena.join_robotics("w", "r", max_age_s=5.0) as consumer,
        ):
            await asyncio.to_thread(bridge.stop)
            await until(
                lambda: not producer.link.is_joined and not consumer.link.is_joined, "it was not noticed"
            )
            assert producer.send_joints({"a": 1.0}) is False and consumer.newest() is None
            await asyncio.to_thread(bridge.start)
            await until(lambda: producer.is_live and consumer.is_live, "not live again", 15.0)
            producer.send_joints({"a": 2.0})
            update = await consumer.next(10.0)
            # What was true before the restart was not said after it.
            assert update is not None and update.joints == {"a": 2.0}


async def test_an_estop_latches_both_ways(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        async with (
            arena.join_robotics("w", "r", role="producer") as producer,
            arena.join_robotics("w", "r", max_age_s=5.0) as consumer,
        ):
            heard: list[tuple[str, str]] = []
            consumer.on_estop = lambda reason, source: heard.append((reason, source))
            producer.send_joints({"a": 1.0})
            await until(lambda: consumer.newest(), "nothing came")
            await producer.emergency_stop("hand in the way")
            assert producer.estop_latched and not producer.send_joints({"a": 2.0})
            await until(lambda: consumer.estop_latched, "not told")
            assert heard == [("hand in the way", producer.link.place.participant_id)]
            assert consumer.newest() is None and await consumer.next(0.05) is None
            async with arena.join_robotics("w", "r") as late:
                assert late.estop_latched
            await arena.robotics.reset_estop("w", "r")
            await until(lambda: not producer.estop_latched and not consumer.estop_latched, "not released")
            # Nothing of before the stop comes after it.
            assert consumer.newest() is None
            assert producer.send_joints({"a": 3.0})
            update = await consumer.next(10.0)
            assert update is not None and update.joints == {"a": 3.0}


async def test_an_estop_said_to_a_dead_link_is_said_first_later(bridge: LiveBridge, quick: None) -> None:
    async with (
        StallingProxy(bridge.url) as proxy,
        AsyncArena(proxy.url) as arena,
        AsyncArena(bridge.url) as near,
    ):
        await arena.robotics.create("w", "r")
        async with arena.join_robotics("w", "r", role="producer") as producer:
            proxy.stall()
            with pytest.raises(NotAnswering, match="arena estop"):
                await producer.emergency_stop("far away", timeout_s=0.3)
            assert producer.estop_latched and not producer.send_joints({"a": 1.0})
            await until(lambda: not producer.link.is_joined, "it was not noticed")
            assert (await near.robotics.get("w", "r"))["estop_latched"] is False
            proxy.flow()
            await until(lambda: producer.counters["reconnects"], "no return")
            await until(lambda: producer.link._pending_stop is None, "not confirmed")
            assert (await near.robotics.get("w", "r"))["estop_latched"] is True


async def test_a_deleted_room_is_over(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        async with arena.join_robotics("w", "r") as consumer:
            waiting = asyncio.create_task(consumer.next())
            await asyncio.sleep(0.05)  # so that it does wait when the room goes
            await arena.robotics.delete("w", "r")
            with pytest.raises(NotFound):
                await asyncio.wait_for(waiting, 5.0)
            assert not consumer.is_live and consumer.link.failure is not None


async def refused(room: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        await room.open()
    return str(getattr(caught.value, "code", ""))


async def test_refusals_are_told_by_kind(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        assert await refused(arena.join_robotics("w", "none"), NotFound) == "not_found"
        await arena.robotics.create("w", "r")
        async with arena.join_robotics("w", "r", role="producer", participant_id="one"):
            assert await refused(arena.join_robotics("w", "r", role="producer"), Conflict) == "producer_taken"
            again = arena.join_robotics("w", "r", participant_id="one")
            assert await refused(again, Conflict) == "participant_taken"
    async with AsyncArena("http://127.0.0.1:9") as nowhere:
        await refused(nowhere.join_robotics("w", "r"), Unavailable)
    with pytest.raises(InvalidInput):
        arena.join_robotics("w", "r", role="watcher")
    with pytest.raises(InvalidInput):
        arena.join_robotics("w", "r", max_age_s=float("inf"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
async def test_what_is_no_number_never_leaves(bridge: LiveBridge, value: Any) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        async with arena.join_robotics("w", "r", role="producer") as producer:
            with pytest.raises(InvalidInput):
                producer.send_joints({"a": 1.0, "b": value})
            with pytest.raises(InvalidInput):
                arena.robotics.command("w", "r", {"b": value})
            await asyncio.sleep(0.05)  # time for what must not come
            assert (await arena.robotics.state("w", "r"))["joints"] == {}
        with pytest.raises(InvalidInput):
            await arena.boundaries.create({"name": "x", "timeout_s": float("nan")})


async def test_a_callback_that_throws_ends_nothing(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url) as arena:
        await arena.robotics.create("w", "r")
        consumer = arena.join_robotics("w", "r")
        seen: list[float] = []

        def on_update(update: Any) -> None:
            seen.append(update.joints["a"])
            raise ValueError("mine")

        consumer.on_update = on_update
        async with consumer, arena.join_robotics("w", "r", role="producer") as producer:
            for number in range(3):
                producer.send_joints({"a": float(number)})
                await until(lambda n=number: len(seen) == n + 1, "not called")  # type: ignore[misc]
        assert seen == [0.0, 1.0, 2.0]


async def shown(producer: Any, consumer: Any, jpeg: bytes) -> Any:
    """The next picture that is this one; what stands in for missing ones may come between."""
    for _ in range(20):
        frame = await consumer.next(3.0)
        assert frame is not None, dict(consumer.counters)
        if frame.jpeg == jpeg:
            return frame
    raise AssertionError(f"not shown: {dict(producer.counters)}, {dict(consumer.counters)}")


async def test_pictures_go_through(bridge: LiveBridge) -> None:
    async with AsyncArena(bridge.url + "/api") as arena:
        await arena.video.create("w", "v", recovery_config={"frame_timeout_ms": 1000})
        async with (
            arena.join_video("w", "v", role="producer") as producer,
            arena.join_video("w", "v") as consumer,
        ):
            for number, size in ((1, 3000), (2, 200_000)):
                assert producer.send_frame(picture(number, size))
                frame = await shown(producer, consumer, picture(number, size))
                assert frame.age_s is not None and 0 <= frame.age_s < 5.0
                await asyncio.sleep(0.03)  # a room thins what comes faster than a camera can be
            for bad, kind in ((b"", InvalidInput), (b"GIF", InvalidInput), (picture(0, 1_000_001), TooLarge)):
                with pytest.raises(kind):
                    producer.send_frame(bad)
            # A watcher that looks away gets the newest.
            for number in range(3, 9):
                producer.send_frame(picture(number))
                await asyncio.sleep(0.05)  # a camera at 20 Hz, below what a room thins
            frame = await consumer.next(1.0)
            assert frame is not None and frame.jpeg == picture(8)
            assert consumer.counters["replaced"] >= 3
