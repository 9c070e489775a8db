# SPDX-License-Identifier: Apache-2.0
"""What waits for clients: bounded, newest first where only the newest matters, and shared where it can be."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.bridge.cycle_event import cycle_event
from lerobot_arena.bridge.feed import KEPT, REPLAY, CycleFeed
from lerobot_arena.bridge.frames import FrameHub, pack_frame, pack_frame_with_cycle, to_jpeg
from lerobot_arena.bridge.outbox import Outbox, OutEvent
from lerobot_arena.bridge.ports import Picture
from lerobot_arena.bridge.telemetry import CyclePacer
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.session import TaskStatus
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Decision, Outcome, Verdict
from lerobot_arena.testing.bridge_fake_link import FakeArms, moving_picture
from lerobot_arena.testing.bridge_rig import until

RECORD = CycleRecord(
    42,
    Decision.REJECT,
    Outcome.HELD,
    1_700_000_000_123_000_000,
    "running",
    "radians",
    ("a", "b"),
    risk=RiskLevel.EMERGENCY,
    reaction="retreat",
    task="pick",
    active_boundaries=("workspace", "approach.reach"),
    config_version=12,
    epoch=7,
    session_id="s",
    reason="too fast",
    measured=(0.0, 1.0),
    proposed=(float("nan"), 1.0),
    verdicts=(
        Verdict(Decision.PASS, "L3", "joint_age", "", 1.5),
        Verdict(Decision.REJECT, "L1", "finite", "too fast", 0.5),
    ),
    stages=tuple(
        StageStat(name, 1, ms, ms, ms, ms)
        for name, ms in (("source", 0.8), ("queue", 2.0), ("checks", 5.0), ("sink", 0.5), ("total", 8.5))
    ),
    deadline_ms=20.0,
)


def test_the_event_has_every_field_of_the_seed() -> None:
    event = cycle_event(RECORD, "arm", cameras=["front"], task=TaskStatus("pick_place"), with_perf=True)
    assert event["latency_ms"] == {"obs": 0.8, "policy": 2.0, "validate": 5.0, "sink": 0.5, "total": 8.5}
    assert event["perf"] == {
        "stages": {"source": 0.8, "policy": 2.0, "guards": 5.0, "sink": 0.5, "total": 8.5},
        "layers": {"L1": 0.5, "L3": 1.5},
        "guards": {"joint_age": 1.5, "finite": 0.5},
        "deadline_ms": 20.0,
        "slack_ms": 11.5,
    }
    assert (event["type"], event["cycle_id"], event["was_rejected"], event["was_clamped"]) == (
        "cycle",
        42,
        True,
        False,
    )
    # What the guard says of the window before this cycle, never what this cycle alone would mean.
    assert event["risk_level"] == "EMERGENCY" and event["fallback_triggered"] == "retreat"
    assert event["guard_statuses"][1] == {
        "name": "finite",
        "layer": "L1",
        "decision": "REJECT",
        "reason": "too fast",
    }
    assert (event["active_task"], event["active_cameras"]) == ("pick", ["front"])
    assert event["active_boundaries"] == ["workspace", "approach.reach"] and event["config_version"] == 12
    assert event["timestamp"] == pytest.approx(1_700_000_000.123)
    assert event["joints"]["measured"] == [0.0, 1.0] and event["joints"]["executed"] == []
    assert event["outcome"] == "held" and event["reason"] == "too fast"
    # what JSON has no word for must not break a browser's parser
    assert json.loads(orjson.dumps(event))["joints"]["proposed"] == [None, 1.0]


def test_perf_is_absent_unless_asked_for_and_nothing_is_null_by_guess() -> None:
    from dataclasses import replace

    event = cycle_event(replace(RECORD, reaction="", task="", active_boundaries=()), "arm")
    assert "perf" not in event
    assert (event["fallback_triggered"], event["active_task"], event["active_boundaries"]) == (None, None, [])


@settings(deadline=None)
@given(st.lists(st.sampled_from("cpfg"), max_size=60), st.integers(1, 8), st.integers(0, 60))
def test_an_outbox_keeps_order_bounds_and_every_newest_frame_behind_its_cycle(
    puts: str, size: int, taken_from: int
) -> None:
    """c: a live cycle, p: a ping, f and g: frames of two cameras; the client begins to read at `taken_from`."""

    async def run() -> None:
        outbox = Outbox(size)
        got: list[OutEvent] = []
        all_frames: list[bytes] = []

        async def read() -> None:
            while outbox._events:
                event, frames = await asyncio.wait_for(outbox.take(), 1)
                got.append(event)
                for camera, jpeg in frames.items():
                    assert event.cycle_id is not None, "frames follow a live cycle and nothing else"
                    assert camera == jpeg.decode()[0] and int(jpeg[1:]) < event.cycle_id
                    all_frames.append(jpeg)

        for number, kind in enumerate(puts):
            if kind in "cp":
                outbox.put_event(f'{{"n":{number}}}', cycle_id=number if kind == "c" else None)
            else:
                outbox.put_frame(kind, f"{kind}{number}".encode())
            assert len(outbox._events) <= size and len(outbox._behind) <= 2 and len(outbox._fresh) <= 2
            if number >= taken_from:
                await read()
        await read()
        events = [number for number, kind in enumerate(puts) if kind in "cp"]
        numbers = [json.loads(event.text)["n"] for event in got]
        assert numbers == sorted(set(numbers)) and len(numbers) + outbox.events_dropped == len(events)
        told = [json.loads(event.text)["dropped"] for event in got if "dropped" in event.text]
        assert told == sorted(told) and (told[-1:] == [outbox.events_dropped] or not outbox.events_dropped)
        waiting = len(outbox._fresh) + len(outbox._behind)
        frames = sum(kind in "fg" for kind in puts)
        assert len(all_frames) == len(set(all_frames)) == frames - outbox.frames_dropped - waiting
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.take(), 0.001)

    asyncio.run(run())


def test_a_pacer_thins_what_is_the_same_and_never_what_is_news() -> None:
    from dataclasses import replace

    plain = replace(RECORD, decision=Decision.PASS)
    pacer = CyclePacer(20.0)
    taken = [i for i in range(100) if pacer.wants(plain, i * 0.02)]
    assert len(taken) == pytest.approx(40, abs=2)
    assert pacer.wants(replace(plain, decision=Decision.CLAMP), 2.0)
    assert not pacer.wants(replace(plain, decision=Decision.CLAMP), 2.0001)
    assert pacer.wants(replace(plain, decision=Decision.CLAMP, state="stopped"), 2.0002)
    assert all(pacer.wants(RECORD, 2.001 + i / 1000) for i in range(5))
    everything = CyclePacer(None)
    assert all(everything.wants(plain, 0.0) for _ in range(10))


async def test_the_feed_replays_the_last_fifty_then_each_new_one_once() -> None:
    decoded: list[int] = []

    def decode(raw: Any) -> CycleRecord:
        decoded.append(raw)
        from dataclasses import replace

        return replace(RECORD, cycle_id=raw)

    feed = CycleFeed(decode)
    for number in range(200):
        feed.push("arm", number)
        feed.push("other", -number)
    assert decoded == [], "nothing is decoded while nobody looks"
    assert [item.raw for item in feed.newest("arm", 3)] == [197, 198, 199]
    assert len(feed.newest("arm", KEPT)) == 200 and feed.newest("none", 5) == []
    first: list[int] = []
    second: list[int] = []
    stop_first = feed.watch("arm", lambda item: first.append(item.record.cycle_id))
    assert first == list(range(200 - REPLAY, 200))
    feed.watch("arm", lambda item: second.append(item.record.cycle_id))
    await asyncio.to_thread(feed.push, "arm", 200)
    await until(lambda: first[-1] == 200 == second[-1])
    assert len(decoded) == REPLAY + 1, "watchers share what was decoded"
    stop_first()
    feed.push("arm", 201)
    await until(lambda: second[-1] == 201)
    assert first[-1] == 200 and feed.watcher_count == 1


async def test_only_the_cycles_of_the_replay_are_kept_decoded() -> None:
    from dataclasses import replace

    feed = CycleFeed(lambda raw: replace(RECORD, cycle_id=raw))
    feed.watch("arm", lambda item: item.text(lambda record, arm, perf: str(record.cycle_id)) and None)
    for number in range(KEPT + 60):
        feed.push("arm", number)
        await asyncio.sleep(0)
    items = feed.newest("arm", KEPT)
    assert len(items) == KEPT
    assert sum(item._record is not None or bool(item._texts) for item in items) <= REPLAY
    assert items[0].record.cycle_id == 60


async def test_a_cycle_that_cannot_be_read_is_skipped() -> None:
    feed, seen = CycleFeed(FakeArms(()).decode_cycle), []
    feed.push("arm", b"garbage")
    feed.push("arm", RECORD)
    feed.watch("arm", lambda item: seen.append(item.record.cycle_id))
    assert seen == [42]


def test_a_binary_message_is_the_seeds() -> None:
    assert pack_frame("top", b"jpeg") == b"\x01\x03topjpeg"
    assert pack_frame("é" * 200, b"")[1] == 255
    assert pack_frame_with_cycle("top", b"jpeg", 2**32 + 258) == b"\x02\x00\x00\x01\x02\x03topjpeg"


def test_jpeg_of_a_picture_and_of_what_is_one_already() -> None:
    import cv2

    image = moving_picture(3, 0)
    jpeg = to_jpeg(Picture(unpack=lambda: image))
    back = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert back.shape == image.shape
    assert np.abs(back.astype(int) - image).mean() < 6, "red and blue must not be swapped"
    assert to_jpeg(Picture(jpeg=b"as it came")) == b"as it came"


class Camera:
    """An ArmsLink of one camera; shows pictures from another thread, as ROS does."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[Picture], None]] = []

    def open_camera(self, _topic: str, on_picture: Callable[[Picture], None]) -> Callable[[], None]:
        self.watchers.append(on_picture)
        return lambda: self.watchers.remove(on_picture)

    async def show(self, picture: Picture) -> None:
        for watcher in tuple(self.watchers):
            await asyncio.to_thread(watcher, picture)


def frames_in(outbox: Outbox) -> list[bytes]:
    return list(outbox._fresh.values())


async def test_watchers_of_a_camera_share_one_subscription_which_ends_with_the_last() -> None:
    camera = Camera()
    with ThreadPoolExecutor(1) as pool:
        hub = FrameHub(camera, pool)  # type: ignore[arg-type]
        boxes = [Outbox(), Outbox()]
        stops = [hub.watch("front", "/t", box, fps=60) for box in boxes]
        assert len(camera.watchers) == 1 and hub.open_topics == ["/t"]
        await camera.show(Picture(jpeg=b"1"))
        await until(lambda: all(frames_in(box) == [b"1"] for box in boxes))
        stops[0]()
        stops[0]()
        await camera.show(Picture(jpeg=b"2"))
        await until(lambda: frames_in(boxes[1]) == [b"2"])
        assert frames_in(boxes[0]) == [b"1"]
        stops[1]()
        assert camera.watchers == [] and hub.open_topics == []


async def test_each_client_gets_its_own_rate_and_always_the_newest() -> None:
    camera = Camera()
    with ThreadPoolExecutor(1) as pool:
        hub = FrameHub(camera, pool)  # type: ignore[arg-type]
        slow, fast = Outbox(), Outbox()
        hub.watch("c", "/t", slow, fps=5)
        hub.watch("c", "/t", fast, fps=50)
        for number in range(40):
            await camera.show(Picture(jpeg=str(number).encode()))
            await asyncio.sleep(0.02)
        counts = [box.frames_dropped + 1 for box in (slow, fast)]
        assert 3 <= counts[0] <= 7 and counts[1] > 2 * counts[0]
        await until(lambda: frames_in(fast) == [b"39"])
        hub.close()


async def test_a_camera_that_cannot_be_read_is_told_once_and_does_not_stop_the_hub(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Any:
        raise InvalidInput("Image encoding 'bayer' needs cv_bridge.")

    camera = Camera()
    with ThreadPoolExecutor(1) as pool:
        hub = FrameHub(camera, pool)  # type: ignore[arg-type]
        box = Outbox()
        hub.watch("c", "/t", box, fps=60)
        for _ in range(3):
            await camera.show(Picture(unpack=broken))
            await asyncio.sleep(0.02)
        await camera.show(Picture(jpeg=b"good"))
        await until(lambda: frames_in(box) == [b"good"])
        assert caplog.text.count("bayer") == 1
        hub.close()
