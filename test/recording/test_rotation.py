# SPDX-License-Identifier: Apache-2.0
"""A recording of several files: nothing is lost between them."""

import os
from collections.abc import Callable

import pytest
import yaml

from lerobot_arena.core.errors import Conflict
from lerobot_arena.recording.file_info import read_info
from lerobot_arena.recording.metadata_yaml import custom_data
from lerobot_arena.testing.cdr_messages import JOINTS, message
from lerobot_arena.testing.recording_rig import FRONT, Rig, Topic, messages_of


def test_a_new_file_after_a_time(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(params={"rotate_s": 1.0})
    rig.recorder.start()
    rig.cycles(275)
    assert rig.recorder.status().file_count == 6
    rig.recorder.stop()
    assert len(rig.files) == 6 and rig.ids() == list(range(275))
    assert [path.name.rpartition("_")[2] for path in rig.files[1:]] == [f"{n}.mcap" for n in range(1, 6)]


def test_a_new_file_after_a_size_in_the_middle_of_a_violation(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(params={"rotate_mb": 1, "images": "violations", "window_s": 5.0, "image_format": "raw"})
    rig.recorder.start()
    size = 100_000
    frame = message(
        "sensor_msgs/msg/Image", encoding="8UC1", height=1, width=size, step=size, data=[0] * size
    )
    for number in range(60):
        rig.recorder.take(FRONT, frame[:-size] + os.urandom(size))
        rig.cycles(1, decision=3 if 20 <= number < 40 else 0)
    rig.recorder.stop()
    assert len(rig.files) > 3 and rig.ids() == list(range(60))
    pictures = [topic for path in rig.files for topic, _, _ in messages_of(path) if topic == FRONT.name]
    assert len(pictures) == 60
    found = yaml.safe_load((rig.folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert found["message_count"] == 120 and len(found["files"]) == len(rig.files)
    assert custom_data(rig.folder)["violation_cycles"] == "20"


def test_every_file_says_what_it_is_of_and_the_totals_are_those_of_all(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(about={"task": "pick"})
    rig.recorder.start()
    rig.cycles(60, decision=1)
    rig.about["task"] = "place"
    rig.cycles(60)
    rig.recorder.split()
    rig.cycles(5, decision=2)
    rig.recorder.stop()
    first, second = map(read_info, rig.files)
    assert (first.notes["session"]["task"], second.notes["session"]["task"]) == ("place", "place")
    assert first.notes["session"]["session_id"] == rig.folder.name
    assert first.tally is not None and (first.tally.total, first.tally.clamps, first.tally.last_id) == (
        120,
        60,
        119,
    )
    assert second.tally is not None and (second.tally.first_id, second.tally.violations) == (120, 5)
    assert (first.notes["end"]["reason"], second.notes["end"]["reason"]) == ("split", "stop")
    totals = custom_data(rig.folder)
    assert (totals["total_cycles"], totals["clamp_cycles"], totals["violation_cycles"]) == ("125", "60", "5")


def test_every_start_is_a_folder_of_its_own(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    ids = []
    for _ in range(2):
        ids.append(rig.recorder.start())
        rig.cycles(3)
        assert rig.recorder.stop() == ids[-1]
        rig.clock.advance(1.0)
    assert sorted(path.name for path in rig.root.iterdir()) == ids and ids[0] != ids[1]


def test_verbs_that_do_not_fit_are_refused(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    for verb in (rig.recorder.stop, rig.recorder.split, rig.recorder.snapshot):
        with pytest.raises(Conflict, match="start a recording"):
            verb()
    rig.cycles(5)  # idle: nothing is kept
    rig.recorder.start()
    with pytest.raises(Conflict, match="already"):
        rig.recorder.start()
    rig.recorder.stop()
    assert rig.ids() == []


def test_a_stop_writes_everything_that_came_before_it(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    rig.cycles(3000, step=False)
    rig.recorder.stop()
    assert rig.ids() == list(range(3000))


def test_drops_are_counted_in_the_file_and_pass_cycles_go_first(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(params={"queue_messages": 50})
    rig.recorder.start()
    rig.cycles(40, step=False)
    joints = Topic("/arm/joint_states", JOINTS)
    for _ in range(30):
        rig.recorder.take(joints, message(JOINTS))
    rig.cycles(10, decision=2, step=False)
    rig.recorder.stop()
    summary = read_info(rig.files[0])
    assert summary.notes["drops"] == {"/arm/dam/cycle": "30"}
    assert rig.ids() == [*range(30, 50)]
    assert rig.recorder.status().dropped == {"/arm/dam/cycle": 30}


def test_a_topic_of_an_unknown_type_is_counted_and_said_once(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    for _ in range(3):
        rig.recorder.take(Topic("/x", "no_such/msg/Type"), b"\0\1\0\0")
    rig.cycles(2)
    rig.recorder.stop()
    assert rig.ids() == [0, 1] and rig.recorder.status().dropped == {"/x": 3}
    assert sum("no_such/msg/Type" in event.text for event in rig.recorder.events.all()) == 1
