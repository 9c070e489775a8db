# SPDX-License-Identifier: Apache-2.0
"""The index of a file: right, continued where it stopped, and never surprised by what is wrong with the bytes."""

import dataclasses
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.index import FileIndex, continue_index, span_records
from lerobot_arena.recording.reader import open_recording
from lerobot_arena.recording.records import MAGIC, DamagedFile, Source
from lerobot_arena.testing.recordings import BEGIN_NS, PERIOD_NS, Writer, cycles, write_session

P, C, R, F = Decision


def indexed(path: Path, *, is_active: bool = False) -> FileIndex:
    index, source = FileIndex(), Source(path)
    continue_index(index, source, is_active=is_active)
    source.close()
    return index


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = write_session(tmp_path_factory.mktemp("closed"), [P] * 40 + [C, R, F] + [P] * 57)
    return next(folder.iterdir()).read_bytes()


def test_counts_ranges_and_times(tmp_path: Path) -> None:
    index = indexed(next(write_session(tmp_path, [P] * 40 + [C, R, F] + [P] * 57).iterdir()))
    assert (index.is_closed, index.damage, index.compression) == (True, "", "zstd")
    assert [(span.first_cycle, span.last_cycle) for span in index.spans] == [
        (1, 25),
        (26, 50),
        (51, 75),
        (76, 100),
    ]
    assert (index.total("cycles"), index.total("violations"), index.total("clamps")) == (100, 2, 1)
    assert [span.violations for span in index.spans] == [0, 2, 0, 0]
    # The clamp, the reject, the fault, and the cycle after them whose risk is lower.
    assert [span.notable for span in index.spans] == [0, 4, 0, 0]
    assert index.start_ns == BEGIN_NS - 2 and index.end_ns == BEGIN_NS + 99 * PERIOD_NS + 3
    assert index.counts()["/arm/dam/cycle"] == 100 and index.counts()["/arm/dam/images/front"] == 50
    assert index.metadata["session"]["arm"] == "arm"
    assert [span.has_definitions for span in index.spans] == [True, False, False, False]


def test_a_growing_file_is_read_on_and_not_again(tmp_path: Path) -> None:
    writer, records = Writer(tmp_path / "a.mcap"), cycles([P] * 60)
    index, source, read = FileIndex(), Source(tmp_path / "a.mcap"), []
    for start in range(0, 60, 20):
        for record in records[start : start + 20]:
            writer.add_cycle(record, record.stamp_ns)
        writer.flush()
        before = source.bytes_read
        continue_index(index, source, is_active=True)
        read.append(source.bytes_read - before)
        assert (index.total("cycles"), index.damage, index.is_closed) == (start + 20, "", False)
    assert sum(read) < 1.5 * source.size
    continue_index(index, source, is_active=False)
    assert "arena bag repair" in index.damage
    writer.end()
    continue_index(index, source, is_active=False)
    assert (index.is_closed, index.damage) == (True, "")
    assert index == indexed(tmp_path / "a.mcap")
    source.close()


def test_a_topic_that_comes_later_may_be_of_a_type_known_before(tmp_path: Path) -> None:
    writer, (record, *_) = Writer(tmp_path / "a.mcap"), cycles([P])
    index, source = FileIndex(), Source(tmp_path / "a.mcap")
    for arm in ("arm", "other"):
        writer.add_cycle(record, record.stamp_ns, arm)
        writer.flush()
        continue_index(index, source, is_active=True)
    assert index.total("cycles") == 2
    assert index == indexed(tmp_path / "a.mcap", is_active=True)
    source.close()
    writer.abandon()


def test_records_outside_chunks_are_read_too(tmp_path: Path) -> None:
    path, records = tmp_path / "bare.mcap", cycles([P, R, P])
    writer = Writer(path, is_chunked=False)
    for record in records:
        writer.add_cycle(record, record.stamp_ns)
    writer.end()
    index = indexed(path)
    assert (index.damage, index.total("cycles"), len(index.spans)) == ("", 3, 1)
    with open_recording(path) as recording:
        assert list(recording.cycles()) == records


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_every_compression_is_read(tmp_path: Path, compression: str) -> None:
    path, records = tmp_path / "c.mcap", cycles([P] * 30)
    writer = Writer(path, compression=compression)
    for record in records:
        writer.add_cycle(record, record.stamp_ns)
    writer.end()
    assert indexed(path).compression == compression.replace("none", "")
    with open_recording(path) as recording:
        assert list(recording.cycles()) == records


@given(data=st.data())
@settings(max_examples=150)
def test_whatever_is_cut_or_changed_is_damage_and_never_an_error(
    closed: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mcap"
    raw = bytearray(closed)
    if data.draw(st.booleans(), "cut"):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1), "size")]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            raw[data.draw(st.integers(0, len(raw) - 1), "at")] ^= data.draw(st.integers(1, 255), "bits")
    path.write_bytes(raw)
    index = indexed(path)
    assert index.total("cycles") <= 100
    with open_recording(path) as recording:
        assert recording.files[0].index.damage == index.damage
        assert len(list(recording.cycles())) == index.total("cycles")


def test_of_a_cut_file_all_whole_chunks_remain(closed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.mcap"
    whole = indexed(_written(path, closed))
    for span in whole.spans[1:]:
        index = indexed(_written(path, closed[: span.offset + span.length - 1]))
        assert index.damage and index.total("cycles") == span.first_cycle - 1


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, b"no mcap at all, but text", MAGIC, MAGIC + b"\0" * 512]
)
def test_files_that_never_were_one(tmp_path: Path, content: bytes) -> None:
    index = indexed(_written(tmp_path / "x.mcap", content))
    assert index.damage and not index.spans


def test_a_chunk_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    import zstandard

    packed = zstandard.compress(b"\0" * (64 * 2**20))
    for claimed in (64, 2**40):
        content = (0).to_bytes(16, "little") + claimed.to_bytes(8, "little") + b"\0" * 4
        content += (4).to_bytes(4, "little") + b"zstd" + len(packed).to_bytes(8, "little") + packed
        chunk = b"\x06" + len(content).to_bytes(8, "little") + content
        path = _written(tmp_path / "bomb.mcap", MAGIC + chunk)
        tracemalloc.start()
        index = indexed(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert "chunk" in index.damage and peak < 16 * 2**20


def test_a_span_that_went_bad_later_says_so(closed: bytes, tmp_path: Path) -> None:
    path = _written(tmp_path / "a.mcap", closed)
    index = indexed(path)
    span = index.spans[1]
    with path.open("r+b") as file:
        file.seek(span.offset + 60)
        file.write(os.urandom(32))
    source = Source(path)
    with pytest.raises(DamagedFile):
        span_records(source, span)
    source.close()
    assert dataclasses.asdict(index)["damage"] == ""


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
