# SPDX-License-Identifier: Apache-2.0
"""Files that were cut off or damaged anywhere: everything whole in them is kept."""

import fcntl
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from lerobot_arena.core.errors import Conflict, InvalidInput
from lerobot_arena.recording.file_info import read_info
from lerobot_arena.recording.metadata_yaml import custom_data
from lerobot_arena.recording.repair import (
    close_in_place,
    needs_repair,
    repair_all,
    repair_file,
    repair_session,
)
from lerobot_arena.recording.salvage import has_index
from lerobot_arena.testing.recording_rig import Rig, cycle_ids, messages_of


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished file of 400 cycles in 16 chunks."""
    rig = Rig(tmp_path_factory.mktemp("sound"))
    rig.recorder.start()
    rig.cycles(400)
    rig.recorder.stop()
    return rig.files[0]


@pytest.fixture(scope="module")
def ends(sound: Path) -> list[tuple[int, int]]:
    """(offset of a chunk's end, messages up to there)."""
    times = [log_ns for _, log_ns, _ in messages_of(sound)]
    with open(sound, "rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return [
        (index.chunk_start_offset + index.chunk_length, sum(at <= index.message_end_time for at in times))
        for index in summary.chunk_indexes
    ]


@settings(max_examples=40)
@given(st.data())
def test_a_file_cut_off_anywhere_keeps_every_whole_chunk(
    sound: Path, ends: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = sound.read_bytes()
    size = data.draw(st.integers(100, len(whole)))
    path = tmp_path_factory.mktemp("cut") / sound.name
    path.write_bytes(whole[:size])
    repair_file(path)
    ids = cycle_ids(path)
    expected = max((count for end, count in ends if end <= size), default=0)
    assert ids == list(range(len(ids))) and len(ids) >= expected
    assert has_index(path) and read_info(path).info.messages == len(ids)
    tally = read_info(path).tally
    assert tally is not None and tally.total == len(ids)
    assert repair_file(path).was_whole


def test_whole_messages_of_a_chunk_that_was_cut_off_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=1 << 24, compression=CompressionType.ZSTD)
        writer.start("ros2", "test")
        channel = writer.register_channel("/x", "", 0)
        noise = [random.Random(number).randbytes(5000) for number in range(200)]
        for number in range(200):
            writer.add_message(channel, number, noise[number], number)
        writer.finish()
    os.truncate(path, 600_000)
    done = repair_file(path)
    kept = messages_of(path)
    assert 60 < done.messages == len(kept) < 120 and done.damaged_chunks == 1
    assert [data for _, _, data in kept] == noise[: len(kept)]


@settings(max_examples=25)
@given(st.integers(200, 20_000), st.integers(1, 255))
def test_a_damaged_byte_costs_at_most_its_chunk(
    sound: Path, ends: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    raw = bytearray(sound.read_bytes())
    raw[at % (ends[-1][0] - 200) + 100] ^= flip
    path = tmp_path_factory.mktemp("flipped") / sound.name
    path.write_bytes(raw)
    before = path.read_bytes()
    try:
        repair_file(path, again=True)
    except InvalidInput:
        assert path.read_bytes() == before
        return
    kept = cycle_ids(path)
    # A length that is damaged hides everything behind it; any other byte only its chunk of 25.
    assert kept == sorted(set(kept)) and set(kept) <= set(range(400))
    assert len(kept) >= 375 or kept == list(range(len(kept)))


@pytest.mark.parametrize("compression", list(CompressionType))
@pytest.mark.parametrize("is_chunked", [True, False])
def test_foreign_files_of_every_kind_are_repaired(
    tmp_path: Path, compression: CompressionType, is_chunked: bool
) -> None:
    path = tmp_path / "foreign.mcap"
    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=500, compression=compression, use_chunking=is_chunked)
        writer.start("", "foreign")
        schema = writer.register_schema("S", "jsonschema", b"{}")
        channel = writer.register_channel("/x", "json", schema)
        writer.add_attachment(1, 2, "a.txt", "text/plain", b"hello")
        for number in range(100):
            writer.add_message(channel, number, b'{"n": %d}' % number, number)
        writer.add_metadata("m", {"k": "v"})
        writer.finish()
    complete = path.read_bytes()
    path.write_bytes(complete[: complete.index(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])  # up to its DataEnd
    done = repair_file(path)
    assert not done.was_whole and done.messages == 100
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        found = [(s.data, c.topic, m.log_time, m.data) for s, c, m in reader.iter_messages() if s]
        assert [record.data for record in reader.iter_attachments()] == [b"hello"]
        assert {"m"} <= {record.name for record in reader.iter_metadata()}
        assert reader.get_header().library == "foreign"
    assert found == [(b"{}", "/x", number, b'{"n": %d}' % number) for number in range(100)]


def test_what_is_no_mcap_file_is_refused_untouched(tmp_path: Path) -> None:
    for text in (b"", b"hello", b"\x89MCAP"):
        path = tmp_path / "x.mcap"
        path.write_bytes(text)
        with pytest.raises(InvalidInput, match="no MCAP file"):
            repair_file(path)
        assert path.read_bytes() == text and list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_being_written_is_refused(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    rig.cycles(100)
    with pytest.raises(Conflict, match="being recorded"):
        repair_session(rig.folder)
    assert not needs_repair(rig.folder) and repair_all(rig.root) == []
    rig.recorder.stop()
    assert rig.ids() == list(range(100))


def test_the_index_can_be_added_where_there_is_no_room_for_a_second_file(
    sound: Path, ends: list[tuple[int, int]], tmp_path: Path
) -> None:
    end, count = ends[9]
    path = tmp_path / sound.name
    path.write_bytes(sound.read_bytes()[: end + 30])
    before = path.read_bytes()[:end]
    close_in_place(path)
    assert path.read_bytes()[:end] == before
    assert cycle_ids(path) == list(range(count)) and has_index(path)
    again = path.read_bytes()
    close_in_place(path)
    assert path.read_bytes() == again


def test_a_session_is_repaired_with_its_metadata(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    rig.cycles(50, decision=2)
    rig.recorder.split()
    rig.cycles(100)
    rig.recorder.stop()
    os.truncate(rig.files[1], rig.files[1].stat().st_size // 2)
    (rig.folder / "metadata.yaml").unlink()
    (done,) = repair_all(rig.root)
    assert not done.was_whole and done.name == rig.files[1].name
    totals = custom_data(rig.folder)
    assert totals["violation_cycles"] == "50" and totals["task"] == "pick"
    assert int(totals["total_cycles"]) == 50 + done.messages == len(rig.ids())
    assert not needs_repair(rig.folder)


def test_a_stub_of_a_crash_goes(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.recorder.start()
    rig.cycles(5)
    rig.recorder.stop()
    stub = rig.files[0].with_name(f"{rig.files[0].stem}_1.mcap")
    stub.write_bytes(b"\x89MC")
    assert needs_repair(rig.folder)
    repair_session(rig.folder)
    assert not stub.exists() and rig.ids() == list(range(5))


def test_a_folder_that_a_recorder_has_just_made_is_left_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "sess_20231114_221330_bd5337"
    folder.mkdir()
    assert not needs_repair(folder) and repair_all(tmp_path) == [] and not any(folder.iterdir())


def test_the_lock_of_a_dead_process_does_not_stand_in_the_way(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / sound.name
    path.write_bytes(sound.read_bytes()[:5000])
    with open(path, "rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(Conflict):
            repair_file(path)
    assert not repair_file(path).was_whole
