# SPDX-License-Identifier: Apache-2.0
"""Reading back: the values that were recorded, lazily, also from a file of an older version."""

from pathlib import Path

import numpy as np
import pytest

import lerobot_arena.recording
from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import action_of, observation_of
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.risk import RiskWindow
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.cycles import find_cycle, notable_cycles
from lerobot_arena.recording.pictures import jpeg_at
from lerobot_arena.recording.records import DamagedFile
from lerobot_arena.recording.values import plain
from lerobot_arena.testing.recording_rig import Rig
from lerobot_arena.testing.recordings import (
    BEGIN_NS,
    OWN,
    PERIOD_NS,
    Writer,
    chunk_message,
    cycles,
    message_of,
    picture,
    write_session,
)

P, C, R, F = Decision


def test_what_was_recorded_comes_back(tmp_path: Path) -> None:
    decisions = [P] * 30 + [C, R] + [P] * 68
    folder, records = write_session(tmp_path, decisions, files=2), cycles(decisions)
    with lerobot_arena.recording.open(folder) as recording:
        assert list(recording.cycles()) == records
        assert list(recording.observations()) == [observation_of(record) for record in records]
        assert list(recording.actions()) == [action_of(record) for record in records]
        joints = list(recording.joints())
        assert [tuple(sample.values) for sample in joints] == [record.measured for record in records]
        assert joints[3].names == records[3].joint_names and joints[3].stamp_ns == records[3].stamp_ns - 2
        frames = list(recording.frames(["front"]))
        assert len(frames) == 50 and frames[0].image.shape == (48, 64, 3)
        assert (recording.arm, recording.damage, recording.cameras) == (
            "arm",
            "",
            {"front": "/arm/dam/images/front"},
        )
        assert recording.start_ns == BEGIN_NS - 2
        assert recording.topic("/dam/L1") == recording.topic("/arm/dam/L1") == "/arm/dam/L1"


def test_pictures_keep_their_pixels_and_colours(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    flat = np.full((24, 32, 3), (200, 60, 10), np.uint8)
    writer = Writer(tmp_path / "a.mcap")
    writer.add("/arm/dam/images/myZ2dcam", *picture(pixels, 5), 10)
    writer.add("/arm/dam/images/wrist", *picture(flat, 6, as_jpeg=True), 11)
    writer.end()
    with lerobot_arena.recording.open(tmp_path / "a.mcap") as recording:
        raw, jpeg = recording.frames()
        assert (raw.camera, raw.stamp_ns, raw.receipt_ns) == ("my-cam", 5, 10)
        assert np.array_equal(raw.image, pixels)
        assert jpeg.camera == "wrist" and np.abs(jpeg.image.astype(int) - flat).max() < 8
        with pytest.raises(InvalidInput, match="Did you mean 'wrist'"):
            list(recording.frames(["wirst"]))


def test_chunks(tmp_path: Path) -> None:
    scores = (Score("ood", 1.5, 3.0),)
    chunk = ActionChunk(
        np.arange(12.0).reshape(4, 3), ("a", "b", "c"), "normalized", 0.05, "s", 7, 3, 4, 9, scores=scores
    )
    writer = Writer(tmp_path / "a.mcap")
    writer.add("/arm/action_chunk", f"{OWN}/ActionChunk", chunk_message(chunk), 10)
    writer.end()
    with lerobot_arena.recording.open(tmp_path / "a.mcap") as recording:
        (read,) = recording.chunks()
        assert np.array_equal(read.actions, chunk.actions)
        assert (read.joint_names, read.sequence, read.scores) == (chunk.joint_names, 4, scores)
        (message,) = recording.messages()
        assert plain(message.value)["joint_names"] == ["a", "b", "c"]


def test_a_cycle_of_an_older_version_has_defaults_for_what_it_lacks(tmp_path: Path) -> None:
    from mcap_ros2._dynamic import serialize_dynamic

    from lerobot_arena.recording.schemas import definition_of

    record = cycles([R])[0]
    new = ("joint_age_s", "scores_age_s", "scores", "deadline_ms")
    text = definition_of(f"{OWN}/Cycle").text
    old = "\n".join(line for line in text.split("\n") if not any(f" {name} " in f"{line} " for name in new))
    fields = {name: value for name, value in message_of(record).items() if name not in new}
    writer = Writer(tmp_path / "a.mcap")
    schema = writer.mcap.register_schema(f"{OWN}/Cycle", "ros2msg", old.encode())
    channel = writer.mcap.register_channel("/arm/dam/cycle", "cdr", schema)
    data = serialize_dynamic(f"{OWN}/Cycle", old)[f"{OWN}/Cycle"](fields)
    writer.mcap.add_message(channel, 5, bytes(data), 5)
    writer.end()
    with lerobot_arena.recording.open(tmp_path / "a.mcap") as recording:
        (read,) = recording.cycles()
    assert (read.verdicts, read.risk, read.deadline_ms) == (record.verdicts, record.risk, 0.0)


def test_live_and_recording_agree_on_the_risk(tmp_path: Path) -> None:
    decisions = [P] * 20 + [C] * 6 + [P] * 530 + [R, P, R] + [P] * 20 + [F] + [P] * 20
    with lerobot_arena.recording.open(write_session(tmp_path, decisions, with_pictures=False)) as recording:
        window = RiskWindow()
        for record in recording.cycles():
            assert window.add(record.decision, steady_ns=record.steady_ns) == record.risk


def test_notable_cycles_are_those_of_all_cycles(tmp_path: Path) -> None:
    decisions = [P] * 30 + [C] + [P] * 60 + [R, R] + [P] * 600 + [C]
    folder = write_session(tmp_path, decisions, per_chunk=7, with_pictures=False)
    expected, risk = [], 0
    for record in cycles(decisions):
        if record.decision > P or record.risk != risk:
            expected.append(record)
        risk = record.risk
    with lerobot_arena.recording.open(folder) as recording:
        assert list(notable_cycles(recording.files[0])) == expected
        assert any(record.decision == P for record in expected)


def test_one_cycle_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    folder = write_session(tmp_path, [P] * 300, files=2, per_chunk=10)
    with lerobot_arena.recording.open(folder) as recording:
        before = sum(file.source.bytes_read for file in recording.files)
        found = find_cycle(recording, 222)
        read = sum(file.source.bytes_read for file in recording.files) - before
        assert (found.record, found.filename[-7:]) == (cycles([P] * 300)[221], "_1.mcap")
        assert found.log_ns == BEGIN_NS + 221 * PERIOD_NS
        assert read < 0.3 * recording.files[1].source.size
        with pytest.raises(NotFound, match="1 to 300"):
            find_cycle(recording, 301)


def test_a_message_that_is_none_names_its_type(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.mcap")
    writer.add_raw("/arm/dam/cycle", f"{OWN}/Cycle", b"\x00\x01\x00\x00" + b"\xff" * 80, 5)
    writer.end()
    with (
        lerobot_arena.recording.open(tmp_path / "a.mcap") as recording,
        pytest.raises(DamagedFile, match="Cycle"),
    ):
        list(recording.cycles())


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.mcap"):
        with pytest.raises(NotFound):
            lerobot_arena.recording.open(path)


def test_pictures_from_before_a_violation_come_in_their_place(tmp_path: Path) -> None:
    """The recorder writes them when the violation came, with their own times."""
    records, times = cycles([P] * 60), []
    writer = Writer(tmp_path / "a.mcap")
    for number, record in enumerate(records):
        writer.add_cycle(record, record.stamp_ns)
        if number == 44:
            writer.flush()
            for back in range(20, 0, -2):
                times.append(record.stamp_ns - back * PERIOD_NS + 7)
                pixels = np.full((8, 8, 3), 40 + back, np.uint8)
                writer.add("/arm/dam/images/front", *picture(pixels, 5), times[-1])
        if number % 10 == 0:
            writer.flush()
    writer.end()
    with lerobot_arena.recording.open(tmp_path / "a.mcap") as recording:
        log_times = [message.log_time for message in recording.messages()]
        assert log_times == sorted(log_times) and len(log_times) == 60 * 5 + 10
        assert [frame.receipt_ns for frame in recording.frames()] == times
        assert [frame.image[0, 0, 0] for frame in recording.frames()] == list(range(60, 40, -2))
        for index, at_ns in enumerate(times):
            data, log_ns = jpeg_at(recording, "front", at_ns + 2 * PERIOD_NS - 1)
            assert log_ns == at_ns and data[:2] == b"\xff\xd8", index
        assert jpeg_at(recording, "front", 0)[1] == times[0]
        assert list(recording.cycles()) == records


def test_what_the_recorder_writes_is_read(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder.start()
    rig.cycles(40)
    rig.picture()
    rig.cycles(20, decision=2)
    rig.recorder.stop()
    rig.recorder.step()
    with lerobot_arena.recording.open(rig.folder) as recording:
        assert recording.damage == "" and recording.metadata["task"] == "pick"
        read = list(recording.cycles())
        assert [record.cycle_id for record in read] == list(range(60))
        assert [record.decision for record in read] == [P] * 40 + [R] * 20
        assert len(list(recording.frames(["front"]))) == 1 and recording.arm == "arm"
        assert [record.cycle_id for record in notable_cycles(recording.files[0])] == list(range(40, 60))
