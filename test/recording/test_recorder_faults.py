# SPDX-License-Identifier: Apache-2.0
"""Rows G1–G6: what a disk, a clock and a power cut may do to a recording."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.recording.disk import RealDisk
from lerobot_arena.recording.repair import close_in_place, repair_all
from lerobot_arena.recording.salvage import has_index
from lerobot_arena.recording.status import DEGRADED, ERROR, IDLE, RECORDING
from lerobot_arena.testing.cdr_messages import message
from lerobot_arena.testing.disks import FaultyDisk
from lerobot_arena.testing.recording_rig import FRONT, Rig, cycle_ids, messages_of


def texts(rig: Rig) -> str:
    return "\n".join(event.text for event in rig.recorder.events.all())


@pytest.mark.parametrize("room", [3000, 3500, 4096, 5000, 6001, 9000])
def test_a_full_disk_costs_nothing_once_there_is_room_again(make_rig: Callable[..., Rig], room: int) -> None:
    disk = FaultyDisk(room)
    rig = make_rig(disk=disk)
    rig.recorder.start()
    rig.cycles(400)
    status = rig.recorder.status()
    assert (
        status.state == DEGRADED and "No space left" in status.message and "Free some space" in status.message
    )
    assert status.level == ERROR
    disk.room = 10**7
    rig.cycles(400)
    assert rig.recorder.status().state == RECORDING and "Recording again" in texts(rig)
    rig.recorder.stop()
    assert rig.ids() == list(range(800)) and all(map(has_index, rig.files))
    assert rig.recorder.status().dropped == {}


def test_the_file_on_a_full_disk_is_finished_and_the_recording_can_be_ended(
    make_rig: Callable[..., Rig],
) -> None:
    disk = FaultyDisk(5000)
    rig = make_rig(disk=disk)
    rig.recorder.start()
    rig.cycles(400)
    with pytest.raises(Unavailable, match="before is kept"):
        rig.recorder.stop()
    ids = rig.ids()
    assert ids == list(range(len(ids))) and len(ids) >= 25
    assert has_index(rig.files[0])
    assert rig.recorder.status().dropped == {"/arm/dam/cycle": 400 - len(ids)}
    assert rig.recorder.state == IDLE and not rig.recorder.is_recording


def test_where_even_the_index_does_not_fit_the_next_start_repairs(make_rig: Callable[..., Rig]) -> None:
    def no_room(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rig = make_rig(disk=FaultyDisk(6000), give_index=no_room)
    rig.recorder.start()
    rig.cycles(400)
    with pytest.raises(Unavailable):
        rig.recorder.stop()
    assert not has_index(rig.files[0])
    repair_all(rig.root)
    assert has_index(rig.files[0]) and rig.ids() == list(range(len(rig.ids()))) and rig.ids()


@pytest.mark.parametrize(
    ("code", "says"),
    [(errno.EROFS, "Mount it for writing"), (errno.EACCES, "right to write"), (errno.EIO, "still there")],
)
def test_a_disk_that_refuses_refuses_the_start_and_says_what_to_do(
    make_rig: Callable[..., Rig], code: int, says: str
) -> None:
    disk = FaultyDisk()
    disk.error = code
    rig = make_rig(disk=disk)
    with pytest.raises(Unavailable, match=says):
        rig.recorder.start()
    assert rig.recorder.state == IDLE
    rig.recorder.start(insist=True)  # `arena up --record`
    rig.cycles(100)
    assert rig.recorder.state == DEGRADED
    disk.error = 0
    rig.cycles(200)
    rig.recorder.stop()
    assert rig.ids() == list(range(300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_real_read_only_folder(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(Unavailable, match="right to write"):
        make_rig(root=locked / "recordings").recorder.start()


def test_a_disk_that_fails_in_between_costs_nothing(make_rig: Callable[..., Rig]) -> None:
    disk = FaultyDisk()
    rig = make_rig(disk=disk)
    rig.recorder.start()
    rng = random.Random(4)
    for _ in range(8):
        rig.cycles(rng.randrange(1, 120))
        disk.error = errno.EIO
        rig.cycles(rng.randrange(1, 60))
        disk.error = 0
        rig.cycles(110)
    rig.recorder.stop()
    assert rig.ids() == list(range(rig.next_id))
    errors = [event for event in rig.recorder.events.all() if event.level == ERROR]
    assert len(errors) == len(rig.files) - 1 > 3  # said once per failure, not once per attempt


def test_a_disk_that_takes_bytes_and_cannot_sync_them_loses_and_doubles_nothing(
    make_rig: Callable[..., Rig],
) -> None:
    disk = FaultyDisk()
    rig = make_rig(disk=disk)
    rig.recorder.start()
    rig.cycles(100)
    disk.sync_error = errno.EIO
    rig.cycles(100)
    assert rig.recorder.state == DEGRADED
    disk.sync_error = 0
    rig.cycles(200)
    rig.recorder.stop()
    assert rig.ids() == list(range(400))


@pytest.mark.parametrize("room", [900_000, 1_300_000, 2_500_000, 2_950_000])
def test_a_disk_that_is_full_in_the_middle_of_a_large_chunk_loses_and_doubles_nothing(
    make_rig: Callable[..., Rig], room: int
) -> None:
    disk = FaultyDisk(room)
    rig = make_rig(disk=disk, params={"image_format": "raw"})
    rig.recorder.start()
    size = 150_000
    frame = message(
        "sensor_msgs/msg/Image", encoding="8UC1", height=1, width=size, step=size, data=[0] * size
    )
    sent = [frame[:-size] + os.urandom(size) for _ in range(40)]
    for data in sent:
        rig.recorder.take(FRONT, data)
        rig.cycles(1)
    assert rig.recorder.state == DEGRADED
    disk.is_limited = False
    rig.cycles(200)
    rig.recorder.stop()
    found = [data for path in rig.files for topic, _, data in messages_of(path) if topic == FRONT.name]
    assert found == sent and rig.ids() == list(range(rig.next_id))


def test_a_folder_that_vanishes_is_noticed_and_made_again(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    rig.cycles(100)
    shutil.rmtree(rig.root)
    rig.cycles(400)
    rig.recorder.stop()
    assert "folder has gone" in texts(rig)
    ids = rig.ids()
    assert ids == list(range(ids[0], 500)) and ids[0] <= 100  # what was safe in the folder went with it


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_costs_at_most_a_second(make_rig: Callable[..., Rig], seed: int) -> None:
    rng = random.Random(seed)
    disk = FaultyDisk()
    rig = make_rig(disk=disk, params={"rotate_s": 1.7})
    rig.recorder.start()
    rig.cycles(rng.randrange(1, 400), rate_hz=100.0)
    disk.cut_power()
    repair_all(rig.root)
    ids = rig.ids()
    assert ids == list(range(len(ids)))
    assert rig.next_id - len(ids) <= 100
    assert all(map(has_index, rig.files))


def test_too_little_free_space_ends_the_recording_in_order(make_rig: Callable[..., Rig]) -> None:
    disk = FaultyDisk(3 << 20)
    rig = make_rig(disk=disk, params={"min_free_mb": 2})
    rig.recorder.start()
    rig.cycles(60)
    disk.room = 1 << 20
    rig.cycles(60)
    status = rig.recorder.status()
    assert status.state == IDLE and "are free for" in status.message
    ids = rig.ids()
    assert ids == list(range(len(ids))) and len(ids) >= 60 and has_index(rig.files[0])
    with pytest.raises(Unavailable, match="min_free_mb"):
        rig.recorder.start()


def test_the_oldest_recordings_without_a_violation_give_way(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    class Filling(RealDisk):
        """Has room for two recordings besides the one that is written."""

        def free_bytes(self, path: Path) -> int:
            return (4 - sum(1 for _ in path.glob("sess_*"))) << 20 if path.is_dir() else 4 << 20

    rig = make_rig(disk=Filling(), params={"min_free_mb": 1, "on_low_space": "delete_oldest"})
    made = []
    for decision in (2, 0, 0, 0, 0):
        made.append(rig.recorder.start())
        rig.cycles(60, decision=decision)
        rig.recorder.stop()
        rig.clock.advance(1.0)
    left = sorted(path.name for path in rig.root.iterdir())
    assert made[0] in left and made[-1] in left and len(left) == 3
    assert f"Deleted recording {made[1]}" in texts(rig)


def test_where_every_recording_holds_a_violation_nothing_is_deleted(make_rig: Callable[..., Rig]) -> None:
    disk = FaultyDisk(3 << 20)
    rig = make_rig(disk=disk, params={"min_free_mb": 2, "on_low_space": "delete_oldest"})
    rig.recorder.start()
    rig.cycles(60, decision=3)
    rig.recorder.stop()
    disk.room = 0
    with pytest.raises(Unavailable, match="delete recordings"):
        rig.recorder.start()
    assert rig.ids() == list(range(60))


_CHILD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from lerobot_arena.core.clock import SystemClock
    from lerobot_arena.recording.disk import RealDisk
    from lerobot_arena.recording.params import RecorderParams
    from lerobot_arena.recording.recorder import Recorder
    from lerobot_arena.recording.thread import RecorderThread
    from lerobot_arena.testing.cdr_messages import cycle
    from lerobot_arena.testing.recording_rig import CYCLES
    params = RecorderParams(min_free_mb=0, rotate_s=0.7)
    recorder = Recorder(params, Path(sys.argv[1]), RealDisk(), arm="arm", clock=SystemClock())
    thread = RecorderThread(recorder, print)
    thread.begin()
    thread.call(recorder.start, 10.0)
    number = 0
    while True:
        recorder.take(CYCLES, cycle(number, stamp_ns=time.time_ns()))
        print(number, flush=True)
        number += 1
        time.sleep(0.004)
    """
)


@pytest.mark.parametrize("seed", range(3))
def test_sigkill_costs_at_most_a_second_and_the_next_start_repairs(tmp_path: Path, seed: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        sent_at = {0: time.monotonic()}
        end = time.monotonic() + random.Random(seed).uniform(0.5, 2.5)
        while time.monotonic() < end:
            sent_at[int(child.stdout.readline())] = time.monotonic()
        child.send_signal(signal.SIGKILL)
        killed = time.monotonic()
    repair_all(tmp_path)
    (folder,) = tmp_path.iterdir()
    files = sorted(folder.glob("*.mcap"), key=lambda path: (len(path.name), path.name))
    ids = [cycle_id for path in files for cycle_id in cycle_ids(path)]
    assert ids == list(range(len(ids))) and all(map(has_index, files))
    lost_from = sent_at.get(len(ids), killed)
    assert killed - lost_from <= 1.0
    assert (folder / "metadata.yaml").is_file()


def test_closing_in_place_is_what_a_full_disk_gets(make_rig: Callable[..., Rig]) -> None:
    given: list[Path] = []

    def give(path: Path) -> None:
        given.append(path)
        close_in_place(path)

    rig = make_rig(disk=FaultyDisk(4000), give_index=give)
    rig.recorder.start()
    rig.cycles(300)
    assert given == rig.files and has_index(given[0])  # and its attempts leave no litter
