# SPDX-License-Identifier: Apache-2.0
"""Slices: valid files that hold what was asked for and nothing else, made from the chunks they need."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.cycle import observation_of
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.reader import ALL, RecordedFile, Recording, open_recording
from lerobot_arena.recording.slicing import Slice, Slicer
from lerobot_arena.testing.recordings import (
    BEGIN_NS,
    OWN,
    PERIOD_NS,
    Writer,
    cycles,
    message_of,
    write_session,
)

P, C, R, F = Decision
CYCLE = "/arm/dam/cycle"


def sliced(folder: Path, out: Path, *, topics: frozenset[str] | None = None, **limits: int) -> Recording:
    slicer = Slicer(open_recording(folder), Slice(topics=topics, **limits))
    out.write_bytes(b"".join(slicer.parts()))
    slicer.close()
    return open_recording(out)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("s"), [P] * 230 + [R] + [P] * 69, files=3, per_chunk=10)


@given(start=st.integers(0, 310), length=st.integers(0, 120), to_end=st.booleans())
@settings(max_examples=40)
def test_each_cycle_asked_for_and_what_belongs_to_it(
    session: Path, tmp_path_factory: pytest.TempPathFactory, start: int, length: int, to_end: bool
) -> None:
    out, end = tmp_path_factory.getbasetemp() / "slice.mcap", ALL if to_end else start + length
    expected = [i for i in range(1, 301) if i >= start and (to_end or i <= end)]
    if not expected:
        with pytest.raises(NotFound, match="1 to 300"):
            sliced(session, out, start=start, end=end)
        return
    with sliced(session, out, start=start, end=end) as recording:
        assert recording.damage == ""
        assert [record.cycle_id for record in recording.cycles()] == expected
        assert [seen.cycle_id for seen in recording.observations()] == expected
        assert [seen.cycle_id for seen in recording.actions()] == expected
        assert len(list(recording.joints())) == len(expected)
        odd = [i for i in expected if i % 2]
        assert [int(frame.image[0, 0, 0]) for frame in recording.frames()] == pytest.approx(
            [i % 256 for i in odd], abs=3
        )


def test_a_slice_reads_the_chunks_it_needs_and_no_more(tmp_path: Path) -> None:
    folder = write_session(tmp_path, [P] * 1000, per_chunk=10, size=(240, 320))
    known = [RecordedFile(path) for path in open_paths(folder)]
    whole = known[0].source.size
    index = known[0].index
    reopened = Recording([RecordedFile(known[0].source.path, index)])
    slicer = Slicer(reopened, Slice(500, 520))
    data = b"".join(slicer.parts())
    needed = [span for span in index.spans if span.last_cycle >= 500 and span.first_cycle <= 520]
    assert len(needed) == 3
    # Borders are read twice: to find the time of the cycle before, and to copy; definitions once.
    most = (
        2 * sum(span.length for span in needed)
        + index.spans[0].length
        + sum(s.length for s in index.spans[48:54])
    )
    assert 0 < slicer.bytes_read < most < whole / 5
    assert len(data) < whole / 5


def open_paths(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_topics(session: Path, tmp_path: Path) -> None:
    with sliced(
        session, tmp_path / "a.mcap", topics=frozenset({CYCLE, "/arm/dam/L1"}), start=100, end=200
    ) as recording:
        assert set(recording.topics) == {CYCLE, "/arm/dam/L1"}
        assert recording.files[0].index.counts() == {CYCLE: 101, "/arm/dam/L1": 101}
    with sliced(
        session, tmp_path / "b.mcap", topics=frozenset({"/arm/dam/images/front"}), start=7, end=7
    ) as recording:
        assert recording.files[0].index.counts() == {"/arm/dam/images/front": 1}


def test_several_files_become_one(session: Path, tmp_path: Path) -> None:
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    with sliced(session, tmp_path / "all.mcap") as recording, open_recording(session) as original:
        assert list(recording.cycles()) == list(original.cycles())
        assert len(recording.files[0].index.channels) == 7
        assert recording.metadata == original.metadata
        count = sum(sum(file.index.counts().values()) for file in original.files)
    with (tmp_path / "all.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()], validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == count
        times = [message.log_time for _, _, message, _ in reader.iter_decoded_messages()]
    assert len(times) == count and times == sorted(times)


def test_a_guard_that_counts_anew_gives_both_stretches(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s" / "a.mcap")
    for begin in range(2):
        for record in cycles([P] * 50, begin_ns=BEGIN_NS + begin * 100 * PERIOD_NS):
            writer.add_cycle(record, record.stamp_ns)
            if record.cycle_id % 20 == 0:
                writer.flush()
    writer.end()
    with sliced(tmp_path / "s", tmp_path / "out.mcap", start=18, end=32) as recording:
        assert [record.cycle_id for record in recording.cycles()] == [*range(18, 33)] * 2


def test_what_a_guard_says_of_a_cycle_may_be_in_the_next_chunk(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s" / "a.mcap")
    for record in cycles([P] * 30):
        writer.add("/arm/dam/cycle", f"{OWN}/Cycle", message_of(record), record.stamp_ns)
        if record.cycle_id % 10 == 0:
            writer.flush()
        later_ns = record.stamp_ns + 3_000_000
        writer.add("/arm/dam/obs", f"{OWN}/GuardObservation", message_of(observation_of(record)), later_ns)
    writer.end()
    for start, end in ((11, 20), (20, 20), (21, 29)):
        with sliced(tmp_path / "s", tmp_path / "out.mcap", start=start, end=end) as recording:
            expected = list(range(start, end + 1))
            assert [record.cycle_id for record in recording.cycles()] == expected
            assert [seen.cycle_id for seen in recording.observations()] == expected


def test_of_a_file_being_written_what_is_closed(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s" / "a.mcap")
    for record in cycles([P] * 45):
        writer.add_cycle(record, record.stamp_ns)
        if record.cycle_id % 10 == 0:
            writer.flush()
    with sliced(tmp_path / "s", tmp_path / "out.mcap") as recording:
        assert recording.damage == ""
        assert [record.cycle_id for record in recording.cycles()] == list(range(1, 41))
    writer.abandon()


@pytest.mark.parametrize(("start", "end"), [(-1, ALL), (0, -2), (5, 4), (-(10**9), 10**9)])
def test_ranges_that_are_none(start: int, end: int) -> None:
    with pytest.raises(InvalidInput):
        Slice(start, end)


def test_memory_stays_flat(tmp_path: Path) -> None:
    import tracemalloc

    folder = write_session(tmp_path, [P] * 200, per_chunk=5, size=(480, 640))
    slicer = Slicer(open_recording(folder), Slice())
    tracemalloc.start()
    size = sum(len(part) for part in slicer.parts())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    slicer.close()
    assert size > 2**20 and peak < 12 * 2**20
