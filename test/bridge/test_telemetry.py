# SPDX-License-Identifier: Apache-2.0
"""The telemetry socket over real TCP: replay, frames, rates, and a client that is stuck."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from lerobot_arena.bridge.feed import REPLAY
from lerobot_arena.bridge.outbox import MAX_EVENTS
from lerobot_arena.bridge.server import open_socket, serve
from lerobot_arena.core.verdict import Decision
from lerobot_arena.testing.bridge_fake_link import FakeArms, moving_picture
from lerobot_arena.testing.bridge_rig import Rig, open_rig, until
from lerobot_arena.testing.bridge_socket import ask_socket

FRONT, WRIST = "/arm/cameras/front/image_raw", "/arm/cameras/wrist/image_raw"


@pytest.fixture
async def served(data_dir: Path) -> AsyncIterator[tuple[Rig, int]]:
    """A rig whose app also listens on a real port."""
    async with open_rig(data_dir, FakeArms(), bridge_port=0, max_watchers=4) as rig, _listening(rig) as port:
        yield rig, port


@contextlib.asynccontextmanager
async def _listening(rig: Rig) -> AsyncIterator[int]:
    listener = open_socket(rig.services.settings)
    # Small kernel buffers, so that a client that does not read is felt soon.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    ending = asyncio.Event()
    running = asyncio.create_task(serve(rig.app, listener, ending))
    try:
        yield int(listener.getsockname()[1])
    finally:
        ending.set()
        await asyncio.wait_for(running, 10)


def watch(port: int, query: str = "", **options: Any) -> connect:
    options.setdefault("compression", None)
    return connect(f"ws://127.0.0.1:{port}/ws/telemetry?{query}", proxy=None, **options)


async def event_from(client: ClientConnection) -> dict[str, Any]:
    """The next cycle; frames in between are dropped."""
    async with asyncio.timeout(5):
        while True:
            message = await client.recv()
            if isinstance(message, str):
                event: dict[str, Any] = json.loads(message)
                return event


async def run(rig: Rig, beats: int = 0) -> None:
    await rig.create(camera_names=["front"])
    await rig.start()
    for _ in range(beats):
        rig.fake.beat()


async def test_a_client_gets_the_last_fifty_and_then_each_cycle(served: tuple[Rig, int]) -> None:
    rig, port = served
    await run(rig, beats=80)
    async with watch(port, "arm=arm") as client:
        past = [await event_from(client) for _ in range(REPLAY)]
        assert [event["cycle_id"] for event in past] == list(range(31, 81))
        assert all(event["replay"] is True for event in past)
        for number in range(81, 84):
            rig.fake.beat()
            event = await event_from(client)
            assert event["cycle_id"] == number and "replay" not in event
    assert event["type"] == "cycle" and event["session_id"] == "s" and event["task"]["task"] == "pick_place"
    assert event["active_cameras"] == ["front", "wrist"]
    assert len(event["joints"]["names"]) == len(event["joints"]["executed"]) == 6
    await until(lambda: rig.services.feed.watcher_count == 0)


async def test_frames_follow_as_jpeg_and_cameras_are_open_only_while_watched(
    served: tuple[Rig, int],
) -> None:
    rig, port = served
    assert rig.fake.cameras == {}
    async with watch(port) as client:
        await until(lambda: set(rig.fake.cameras) == {FRONT, WRIST})
        frame = await _shown(rig, client, FRONT, 1)
        assert frame[:7] == b"\x01\x05front" and frame[7:10] == b"\xff\xd8\xff"
        assert (await _shown(rig, client, WRIST, 2))[:7] == b"\x01\x05wrist"
    async with watch(port, "frames=v2&cameras=front") as client:
        assert (await _shown(rig, client, FRONT, 7, past=2))[:11] == b"\x02\x00\x00\x00\x07\x05front"
    await until(lambda: rig.fake.cameras == {})


async def _shown(rig: Rig, client: ClientConnection, topic: str, cycle_id: int, past: int = 0) -> bytes:
    """A picture that was taken before a cycle comes right behind that cycle's event, and not before."""
    for _ in range(past):
        assert (await event_from(client))["replay"] is True
    await until(lambda: rig.services.outboxes)
    (outbox,) = rig.services.outboxes
    rig.fake.show(topic, moving_picture(1, 0))
    await until(lambda: outbox._fresh)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.recv(), 0.05)
    rig.services.feed.push("arm", rig.fake.cycle(rig.fake.guards["arm"], cycle_id))
    assert json.loads(await asyncio.wait_for(client.recv(), 5))["cycle_id"] == cycle_id
    frame = await asyncio.wait_for(client.recv(), 5)
    assert isinstance(frame, bytes)
    return frame


@pytest.mark.parametrize(("query", "topics"), [("cameras=wrist", {WRIST}), ("cameras=", set())])
async def test_a_client_chooses_its_cameras(served: tuple[Rig, int], query: str, topics: set[str]) -> None:
    rig, port = served
    async with watch(port, query):
        await until(lambda: rig.services.feed.watcher_count == 1)
        assert set(rig.fake.cameras) == topics


async def test_a_client_may_ask_for_fewer_cycles_but_misses_no_intervention(
    served: tuple[Rig, int],
) -> None:
    rig, port = served
    await run(rig)
    async with watch(port, "rate_hz=1&cameras=") as client:
        await until(lambda: rig.services.feed.watcher_count == 1)
        for number in range(30):
            guard = rig.fake.guards["arm"]
            decision = Decision.REJECT if number in {10, 11, 12} else Decision.PASS
            rig.services.feed.push("arm", rig.fake.cycle(guard, number, decision))
        await asyncio.sleep(0.2)
        got = []
        with contextlib.suppress(TimeoutError):
            while True:
                got.append(json.loads(await asyncio.wait_for(client.recv(), 0.2)))
    assert [event["cycle_id"] for event in got if event["was_rejected"]] == [10, 11, 12]
    assert len(got) <= 6


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("arm=none", 404),
        ("cameras=overhead", 400),
        ("rate_hz=0", 403),
        ("rate_hz=nan", 403),
        ("fps=1000", 403),
        ("frames=v3", 403),
    ],
)
async def test_wishes_that_cannot_be_met_are_refused_at_the_handshake(
    served: tuple[Rig, int], query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with watch(served[1], query):
            pass
    assert caught.value.response.status_code == status
    if status == 400:
        assert b"front, wrist" in caught.value.response.body


async def test_a_foreign_page_gets_no_socket(served: tuple[Rig, int]) -> None:
    port = served[1]
    with pytest.raises(InvalidStatus) as caught:
        async with watch(port, origin="http://evil.example"):
            pass
    assert caught.value.response.status_code == 403
    # A second Host beside the right one is no HTTP.
    with pytest.raises(InvalidStatus) as caught:
        async with watch(port, additional_headers={"Host": "evil.example"}):
            pass
    assert caught.value.response.status_code == 400
    refused = await ask_socket(
        served[0].app, "/ws/telemetry", address="127.0.0.1", headers={"host": "evil.example"}
    )
    assert refused.status_code == 403 and "ARENA_ALLOWED_HOSTS" in refused.json()["detail"]
    async with watch(port, origin=f"http://127.0.0.1:{port}"):
        pass


async def test_there_are_only_so_many_watchers(served: tuple[Rig, int]) -> None:
    rig, port = served
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(watch(port))
        await until(lambda: rig.services.feed.watcher_count == 4)
        with pytest.raises(InvalidStatus) as caught:
            async with watch(port):
                pass
        assert caught.value.response.status_code == 503


async def test_a_ping_keeps_quiet_connections_open(
    served: tuple[Rig, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot_arena.bridge.telemetry.PING_S", 0.05)
    async with watch(served[1], "cameras=") as client:
        assert json.loads(await asyncio.wait_for(client.recv(), 5)) == {"type": "ping"}


async def test_a_stuck_client_delays_nobody_and_costs_bounded_memory(served: tuple[Rig, int]) -> None:
    """It opens a socket and never reads; a second one, and REST, go on as if it were not there."""
    rig, port = served
    await run(rig)
    slowest_s, loop = 0.0, asyncio.get_running_loop()
    with _stuck_client(port):
        await until(lambda: rig.services.feed.watcher_count == 1)
        async with watch(port, "fps=60") as client:
            for number in range(1000):
                rig.fake.beat()
                if number % 10 == 0:
                    rig.fake.show(FRONT, moving_picture(number, 0))
                    begin = loop.time()
                    last = rig.fake.guards["arm"].cycle_count
                    while (await event_from(client))["cycle_id"] != last:
                        continue
                    slowest_s = max(slowest_s, loop.time() - begin)
            assert (await rig.http.get("/sessions")).status_code == 200
            waiting = [outbox for outbox in rig.services.outboxes if outbox.events_dropped]
            assert len(waiting) == 1 and len(waiting[0]._events) == MAX_EVENTS
    # The socket that is stuck would have held it up for ten seconds; a busy machine takes one.
    assert slowest_s < 3.0
    await until(lambda: rig.services.feed.watcher_count == 0)


@contextlib.contextmanager
def _stuck_client(port: int) -> Iterator[None]:
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", port))
        stuck.sendall(
            f"GET /ws/telemetry?fps=60 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        yield


async def test_a_client_that_lost_events_is_told_how_many(data_dir: Path) -> None:
    from lerobot_arena.bridge.outbox import Outbox

    outbox = Outbox(2)
    for number in range(5):
        outbox.put_event(f'{{"n":{number}}}', cycle_id=number)
    texts = [(await outbox.take())[0].text for _ in range(2)]
    assert [json.loads(text) for text in texts] == [{"n": 3, "dropped": 3}, {"n": 4}]


async def test_history_is_the_ring_by_rest(rig: Rig) -> None:
    assert (await rig.http.get("/api/telemetry/history")).json() == {"events": [], "total": 0}
    await run(rig, beats=120)
    answer = (await rig.http.get("/api/telemetry/history")).json()
    assert answer["total"] == 50 and [event["cycle_id"] for event in answer["events"]] == list(range(71, 121))
    assert all("perf" not in event and "replay" not in event for event in answer["events"])
    few = (await rig.http.get("/api/telemetry/history?n=3&arm=arm&perf=true")).json()["events"]
    assert [event["cycle_id"] for event in few] == [118, 119, 120] and few[0]["perf"]["deadline_ms"] == 20.0
    rig.services.feed.push("arm", b"garbage")
    assert (await rig.http.get("/api/telemetry/history?n=1000")).json()["total"] == 120
    for n in ("0", "1001", "-1", "x", "1.5", "nan"):
        assert (await rig.http.get(f"/api/telemetry/history?n={n}")).status_code == 422
    assert (await rig.http.get("/api/telemetry/history?arm=none")).status_code == 404


@pytest.mark.parametrize(
    ("metrics", "query", "has_perf"), [(False, "", False), (True, "", True), (False, "&perf=true", True)]
)
async def test_perf_is_there_when_metrics_are_on_or_a_client_asks(
    data_dir: Path, metrics: bool, query: str, has_perf: bool
) -> None:
    async with open_rig(data_dir, bridge_port=0, metrics=metrics) as rig, _listening(rig) as port:
        await run(rig, beats=1)
        async with watch(port, f"cameras={query}") as client, watch(port, "cameras=&perf=true") as other:
            assert ("perf" in await event_from(client)) is has_perf
            assert "perf" in await event_from(other)
            rig.fake.beat()
            assert ("perf" in await event_from(client)) is has_perf
