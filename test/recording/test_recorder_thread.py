# SPDX-License-Identifier: Apache-2.0
"""The recorder beside its thread: a slow disk delays nobody, and nothing is lost uncounted."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import Conflict, NotAnswering, Unavailable
from lerobot_arena.recording.params import RecorderParams
from lerobot_arena.recording.thread import RecorderThread
from lerobot_arena.testing.cdr_messages import cycle
from lerobot_arena.testing.disks import FaultyDisk
from lerobot_arena.testing.recording_rig import CYCLES, Rig


class HangingDisk(FaultyDisk):
    """Every access waits until `free` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()

    def check(self) -> None:
        self.free.wait(20.0)
        super().check()


@pytest.fixture
def running(make_rig: Callable[..., Rig]) -> Iterator[tuple[Rig, RecorderThread, HangingDisk]]:
    disk = HangingDisk()
    rig = make_rig(disk=disk, params={"queue_messages": 2000})
    thread = RecorderThread(rig.recorder, pytest.fail)
    thread.begin()
    yield rig, thread, disk
    disk.free.set()
    thread.end(20.0)


def test_a_disk_that_hangs_delays_nobody_but_the_verb(
    running: tuple[Rig, RecorderThread, HangingDisk],
) -> None:
    rig, thread, disk = running
    thread.call(rig.recorder.start, 10.0)
    disk.free.clear()
    slowest = 0.0
    data = cycle(1)
    for _ in range(5000):
        begin = time.thread_time()
        rig.recorder.take(CYCLES, data)
        slowest = max(slowest, time.thread_time() - begin)
    rig.clock.advance(5.0)
    assert slowest < 0.01 and len(rig.recorder.queue) <= 2000
    time.sleep(0.3)
    with pytest.raises(NotAnswering, match="goes on trying"):
        thread.call(rig.recorder.split, 0.1)
    disk.free.set()
    thread.call(rig.recorder.stop, 20.0)
    assert len(rig.files) == 1  # the split that nobody waited for was not done
    assert len(rig.ids()) + rig.recorder.queue.dropped.total() == 5000


def test_verbs_raise_what_the_recorder_raises(running: tuple[Rig, RecorderThread, HangingDisk]) -> None:
    rig, thread, disk = running
    with pytest.raises(Conflict):
        thread.call(rig.recorder.stop, 10.0)
    disk.error = errno.EROFS
    with pytest.raises(Unavailable, match="for writing"):
        thread.call(rig.recorder.start, 10.0)


def test_the_end_of_the_process_ends_the_recording_in_order(
    running: tuple[Rig, RecorderThread, HangingDisk],
) -> None:
    rig, thread, _ = running
    thread.call(rig.recorder.start, 10.0)
    for number in range(500):
        rig.recorder.take(CYCLES, cycle(number))
    thread.end(20.0)
    assert rig.ids() == list(range(500)) and thread.status.state == "idle"
    assert "(shutdown)" in thread.status.events[-1].text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_told(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    told: list[str] = []
    thread = RecorderThread(rig.recorder, told.append)
    rig.recorder.step = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    thread.begin()
    thread.end(10.0)
    end = time.monotonic() + 10
    while not told and time.monotonic() < end:
        time.sleep(0.01)
    assert "ZeroDivisionError" in told[0]


actions = st.one_of(
    st.tuples(st.just("cycles"), st.integers(1, 60)),
    st.tuples(st.just("violations"), st.integers(1, 10)),
    st.tuples(st.just("error"), st.sampled_from([errno.EIO, errno.EROFS, errno.ENOSPC])),
    st.tuples(st.just("sync_error"), st.just(errno.EIO)),
    st.tuples(st.just("room"), st.integers(0, 9000)),
    st.tuples(st.just("well"), st.just(0)),
    st.tuples(st.just("split"), st.just(0)),
    st.tuples(st.just("jump"), st.integers(-4000, 4000)),
)


def act(rig: Rig, disk: FaultyDisk, action: tuple[str, Any]) -> None:
    kind, value = action
    if kind in {"cycles", "violations"}:
        rig.cycles(value, decision=3 if kind == "violations" else 0)
    elif kind == "error":
        disk.error = value
    elif kind == "sync_error":
        disk.sync_error = value
    elif kind == "room":
        disk.room, disk.is_limited = value, True
    elif kind == "well":
        disk.error, disk.sync_error, disk.is_limited = 0, 0, False
    elif kind == "jump":
        rig.clock.wall_offset_ns += value * NS
    else:
        try:
            rig.recorder.split()
        except Unavailable as error:
            assert rig.recorder.state == "degraded" and str(error)


@settings(max_examples=60)
@given(st.lists(actions, min_size=1, max_size=14))
def test_whatever_happens_every_cycle_is_recorded_once_or_counted(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, Any]]
) -> None:
    disk = FaultyDisk()
    root: Path = tmp_path_factory.mktemp("any")
    rig = Rig(root, RecorderParams(min_free_mb=0, images="all", rotate_s=1.5, queue_messages=120), disk)
    rig.recorder.start()
    for action in script:
        act(rig, disk, action)
    act(rig, disk, ("well", 0))
    rig.cycles(120)  # longer than it waits between attempts
    rig.recorder.stop()
    ids = rig.ids()
    assert ids == sorted(set(ids))
    assert len(ids) + sum(rig.recorder.dropped().values()) == rig.next_id
