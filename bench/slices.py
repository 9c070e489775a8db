# SPDX-License-Identifier: Apache-2.0
"""A 1 GB recording: indexing it, taking 100 cycles out of it, and the bare `mcap` reader over the same stretch."""

import io
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from report import show

from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.reader import RecordedFile, Recording, open_recording
from lerobot_arena.recording.slicing import Slice, Slicer
from lerobot_arena.testing.recordings import (
    BEGIN_NS,
    OWN,
    PERIOD_NS,
    Writer,
    cycles,
    message_of,
    serialised,
    stamp,
)

CYCLES, PICTURE_BYTES, PER_FLUSH = 24_000, 45_000, 25
FIRST, LAST = 12_000, 12_099


def write(path: Path) -> None:
    """Eight minutes of an arm at 50 Hz with a picture a cycle."""
    writer, some = Writer(path, {"arm": "arm"}), cycles([Decision.PASS] * 50)
    for number in range(CYCLES):
        now_ns = BEGIN_NS + number * PERIOD_NS
        head = serialised("std_msgs/msg/Header", {"stamp": stamp(now_ns), "frame_id": "camera"})
        writer.add_raw(
            "/arm/dam/images/front",
            "sensor_msgs/msg/CompressedImage",
            head + os.urandom(PICTURE_BYTES),
            now_ns - 5,
        )
        record = replace(some[number % 50], cycle_id=number + 1, stamp_ns=now_ns)
        writer.add("/arm/dam/cycle", f"{OWN}/Cycle", message_of(record), now_ns)
        if number % PER_FLUSH == PER_FLUSH - 1:
            writer.flush()
    writer.end()


def timed(what: str, work: Any) -> tuple[dict[str, Any], Any]:
    begin = time.perf_counter()
    result = work()
    return {"what": what, "seconds": time.perf_counter() - begin, "read_mb": "", "out_mb": ""}, result


def with_bare_mcap(path: Path) -> int:
    """The same stretch by the reader of `mcap`, by time: it knows no cycles."""
    from mcap.reader import make_reader

    start_ns = BEGIN_NS + (FIRST - 1) * PERIOD_NS - 5
    with path.open("rb") as file:
        messages = make_reader(file).iter_messages(
            start_time=start_ns, end_time=start_ns + 100 * PERIOD_NS - 1
        )
        return sum(1 for _ in messages)


def main() -> None:
    from mcap.reader import make_reader

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mcap"
        write(path)
        size = path.stat().st_size
        indexing, recording = timed("index", lambda: open_recording(path))
        index = recording.files[0].index
        indexing["read_mb"] = recording.files[0].source.bytes_read / 1e6
        recording.close()
        part = Slicer(Recording([RecordedFile(path, index)]), Slice(FIRST, LAST))
        cut, data = timed("100 cycles", lambda: b"".join(part.parts()))
        cut |= {"read_mb": part.bytes_read / 1e6, "out_mb": len(data) / 1e6}
        part.close()
        count = sum(1 for _ in make_reader(io.BytesIO(data), validate_crcs=True).iter_messages())
        bare, bare_count = timed("100 cycles' time, bare mcap reader", lambda: with_bare_mcap(path))
        whole = Slicer(Recording([RecordedFile(path, index)]), Slice())
        everything, out = timed("all of it", lambda: sum(map(len, whole.parts())))
        everything |= {"read_mb": whole.bytes_read / 1e6, "out_mb": out / 1e6}
        whole.close()
    assert count == bare_count == 200, (count, bare_count)
    show(f"Slices of a recording of {size / 1e6:.0f} MB", [indexing, cut, bare, everything])


if __name__ == "__main__":
    main()
