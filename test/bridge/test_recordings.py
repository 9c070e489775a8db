# SPDX-License-Identifier: Apache-2.0
"""Seed 3's loopback sessions: lists, details, downloads, cycles, pictures, deletion, and requests that mean no good."""

import contextlib
import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lerobot_arena.bridge.recording_store import RecordingStore
from lerobot_arena.bridge.recordings import RecordingBook
from lerobot_arena.core.risk import RiskWindow
from lerobot_arena.core.verdict import Decision
from lerobot_arena.platform.storage.database import open_engine
from lerobot_arena.recording.index import FileIndex
from lerobot_arena.recording.repair import repair_file
from lerobot_arena.testing.bridge_rig import Rig, open_rig
from lerobot_arena.testing.recordings import BEGIN_NS, PERIOD_NS, SESSION_ID, Writer, cycles, write_session

P, C, R, F = Decision
STEM = SESSION_ID.replace("sess_", "session_")
# Fields of the seed.
LISTED = {
    "session_id", "filename", "size_mb", "created_at", "rotated_at", "file_count", "total_cycles", "violation_cycles",
    "clamp_cycles", "has_images",
}  # fmt: skip
DETAILED = {
    "session_id", "filename", "size_mb", "start_time", "end_time", "total_cycles", "violation_cycles", "clamp_cycles",
    "has_images", "compression", "channels",
}  # fmt: skip
DECISIONS = [P] * 120 + [C] + [P] * 20 + [R, F] + [P] * 157


@pytest.fixture
def recordings(data_dir: Path) -> Path:
    root = data_dir / "recordings"
    write_session(root, DECISIONS, files=3)
    return root


@contextlib.contextmanager
def being_written(path: Path) -> Iterator[None]:
    """As its recorder holds it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def get(rig: Rig, path: str, expected: int = 200, **params: Any) -> Any:
    answer = await rig.http.get(path, params=params)
    assert answer.status_code == expected, answer.text
    return answer.json()


async def sessions(rig: Rig) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await get(rig, "/mcap/sessions"))["sessions"]
    return listed


async def test_nothing_recorded_yet(rig: Rig) -> None:
    assert await get(rig, "/mcap/sessions") == {"sessions": []}
    for path in ("", "/download", "/cycles", "/cycles/1", "/frame?camera=front"):
        assert (await rig.http.get(f"/mcap/sessions/{SESSION_ID}{path}")).status_code == 404
    assert (await rig.http.delete(f"/mcap/sessions/{SESSION_ID}")).status_code == 404
    await get(rig, f"/api/risk-log/mcap/{STEM}.mcap", 404)


async def test_the_list_and_a_session_are_the_seeds(recordings: Path, rig: Rig) -> None:
    (entry,) = await sessions(rig)
    assert entry.keys() >= LISTED
    size = sum(path.stat().st_size for path in (recordings / SESSION_ID).iterdir())
    assert (entry["session_id"], entry["filename"]) == (SESSION_ID, f"{STEM}.mcap")
    assert (entry["size_mb"], entry["file_count"]) == (size / 1e6, 3)
    counts = [entry[f"{kind}_cycles"] for kind in ("total", "violation", "clamp")]
    assert (counts, entry["has_images"], entry["damaged"], entry["active"]) == (
        [300, 2, 1],
        True,
        False,
        False,
    )
    assert entry["created_at"] == pytest.approx(BEGIN_NS / 1e9, abs=1e-3)
    detail = await get(rig, f"/mcap/sessions/{SESSION_ID}")
    assert detail.keys() >= DETAILED
    assert detail["channels"] == [
        "/dam/L1", "/dam/L3", "/dam/action", "/dam/cycle", "/dam/images/front", "/dam/obs", "/joint_states",
    ]  # fmt: skip
    assert (detail["compression"], detail["cameras"]) == ("zstd", ["front"])
    assert detail["end_time"] - detail["start_time"] == pytest.approx(299 * PERIOD_NS / 1e9, abs=1e-3)
    assert (detail["first_cycle"], detail["last_cycle"], len(detail["files"])) == (1, 300, 3)
    assert await get(rig, "/api/mcap/sessions") == {"sessions": [entry]}
    assert await get(rig, f"/api/mcap/sessions/{SESSION_ID}") == detail


async def test_a_download_is_one_file_of_what_was_asked(recordings: Path, rig: Rig) -> None:
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    query = {"start_cycle": 95, "end_cycle": 105, "topics": "/dam/cycle,/arm/dam/L1"}
    answer = await rig.http.get(f"/mcap/sessions/{SESSION_ID}/download", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{STEM}.mcap"'
    reader = make_reader(io.BytesIO(answer.content), validate_crcs=True, decoder_factories=[DecoderFactory()])
    found = [(channel.topic, value.cycle_id) for _, channel, _, value in reader.iter_decoded_messages()]
    assert sorted(found) == sorted((t, i) for t in ("/arm/dam/cycle", "/arm/dam/L1") for i in range(95, 106))
    whole = await rig.http.get(f"/api/mcap/sessions/{SESSION_ID}/download")
    summary = make_reader(io.BytesIO(whole.content)).get_summary()
    assert summary is not None and summary.statistics is not None
    # cycle, obs, action, two layers, joints; every other one with a picture
    assert summary.statistics.message_count == 300 * 6 + 150


@pytest.fixture
async def recorded(recordings: Path, rig: Rig) -> Rig:
    return rig


async def test_ranges_and_topics_that_mean_nothing(recorded: Rig) -> None:
    for query, status in (
        ("start_cycle=-1", 422), ("start_cycle=x", 422), ("start_cycle=1.5", 422), ("end_cycle=-2", 422),
        ("start_cycle=10&end_cycle=9", 422), (f"start_cycle={10**30}", 422), ("start_cycle=1000000000", 404),
        ("start_cycle=301&end_cycle=400", 404), ("topics=/dam/cylce", 422), ("topics=../../etc/passwd", 422),
        ("topics=/dam/cycle%00", 400), ("topics=" + "x" * 30_000, 422),
    ):  # fmt: skip
        answer = await recorded.http.get(f"/mcap/sessions/{SESSION_ID}/download?{query}")
        assert answer.status_code == status, query
        if "cylce" in query:
            assert "Did you mean '/dam/cycle'" in answer.json()["detail"]
        if status == 404:
            assert "1 to 300" in answer.json()["detail"]


async def test_nothing_outside_the_folder_is_reached(recordings: Path, rig: Rig) -> None:
    secret = recordings.parent / "secret"
    write_session(secret, [P] * 3, session_id="sess_secret")
    (recordings / "link").symlink_to(secret / "sess_secret")
    (recordings / "link.mcap").symlink_to(secret / "sess_secret" / "session_secret.mcap")
    for name in (
        "../recordings", "..%2F..%2Fetc%2Fpasswd", "%2e%2e%2f%2e%2e", "%00", f"{SESSION_ID}%00", "%2Fetc", "link",
        "x" * 10_000, "%F0%9F%A4%96", f"{SESSION_ID}/../secret", f"{SESSION_ID}%2f..%2fsecret", "secret",
        "..%2fsecret%2fsess_secret",
    ):  # fmt: skip
        for path in ("", "/download", "/cycles", "/cycles/1"):
            answer = await rig.http.get(f"/mcap/sessions/{name}{path}")
            assert 400 <= answer.status_code < 500, answer.text
        for prefix in ("/mcap/sessions/", "/api/mcap/sessions/"):
            assert 400 <= (await rig.http.delete(f"{prefix}{name}")).status_code < 500
        assert 400 <= (await rig.http.get(f"/api/risk-log/mcap/{name}")).status_code < 500
        assert 400 <= (await rig.http.get(f"/api/risk-log/mcap/{name}.mcap")).status_code < 500
    assert (secret / "sess_secret" / "session_secret.mcap").exists()
    assert [entry["session_id"] for entry in await sessions(rig)] == [SESSION_ID]


async def test_a_damaged_file_is_listed_as_damaged(recordings: Path, rig: Rig) -> None:
    (recordings / "sess_noise").mkdir()
    (recordings / "sess_noise" / "session_noise.mcap").write_bytes(os.urandom(5000))
    (recordings / "loose.mcap").write_bytes(b"")
    unreadable = recordings / "sess_dir"
    (unreadable / "session_dir.mcap").mkdir(parents=True)
    second = recordings / SESSION_ID / f"{STEM}_1.mcap"
    second.write_bytes(second.read_bytes()[:-2000])
    by_id = {entry["session_id"]: entry for entry in await sessions(rig)}
    assert by_id.keys() == {SESSION_ID, "sess_noise", "loose"}
    assert all(entry["damaged"] and entry["damage"] for entry in by_id.values())
    assert by_id[SESSION_ID]["total_cycles"] == 300
    detail = await get(rig, f"/mcap/sessions/{SESSION_ID}")
    assert [file["damaged"] for file in detail["files"]] == [False, True, False]
    for session_id in ("sess_noise", "loose"):
        detail = await get(rig, f"/mcap/sessions/{session_id}")
        assert (detail["channels"], detail["total_cycles"], detail["start_time"]) == ([], 0, None)
        assert (await rig.http.get(f"/mcap/sessions/{session_id}/download")).status_code == 200
        assert (await rig.http.get(f"/mcap/sessions/{session_id}/cycles/1")).status_code == 404
        assert (await rig.http.delete(f"/mcap/sessions/{session_id}")).status_code == 200


async def test_while_it_is_recorded(data_dir: Path, rig: Rig) -> None:
    path = data_dir / "recordings" / SESSION_ID / f"{STEM}.mcap"
    writer, records = Writer(path, {"arm": "arm"}), cycles([P] * 100)

    def record(chosen: slice) -> None:
        for each in records[chosen]:
            writer.add_cycle(each, each.stamp_ns)

    record(slice(0, 40))
    writer.flush()
    with being_written(path):
        (entry,) = await sessions(rig)
        assert (entry["active"], entry["damaged"], entry["total_cycles"]) == (True, False, 40)
        assert entry["rotated_at"] is None
        record(slice(40, 70))
        assert (await sessions(rig))[0]["total_cycles"] == 40
        writer.flush()
        assert (await sessions(rig))[0]["total_cycles"] == 70
        answer = await rig.http.get(f"/mcap/sessions/{SESSION_ID}/download?topics=/dam/cycle")
        from mcap.reader import make_reader

        assert len(list(make_reader(io.BytesIO(answer.content)).iter_messages())) == 70
        refused = await rig.http.delete(f"/mcap/sessions/{SESSION_ID}")
        assert refused.status_code == 409 and "arena record stop" in refused.json()["detail"]
        assert path.exists()
    (entry,) = await sessions(rig)
    assert (entry["active"], entry["damaged"]) == (False, True), "its recorder is gone without closing it"
    record(slice(70, 100))
    writer.end()
    (entry,) = await sessions(rig)
    assert (entry["active"], entry["damaged"], entry["total_cycles"]) == (False, False, 100)
    assert (await rig.http.delete(f"/mcap/sessions/{SESSION_ID}")).status_code == 200
    assert not path.parent.exists() and await sessions(rig) == []


async def test_cycles_by_page_and_outcome(recordings: Path, rig: Rig) -> None:
    base = f"/mcap/sessions/{SESSION_ID}/cycles"
    seen: list[int] = []
    following: int | None = 0
    while following is not None:
        page = await get(rig, base, start_cycle=following, limit=70)
        seen += [line["cycle_id"] for line in page["cycles"]]
        following = page["next_cycle"]
    assert seen == list(range(1, 301))
    refused = await get(rig, base, outcome="reject")
    assert [(line["cycle_id"], line["decision"]) for line in refused["cycles"]] == [
        (142, "REJECT"),
        (143, "FAULT"),
    ]
    assert [line["cycle_id"] for line in (await get(rig, base, outcome="clamp"))["cycles"]] == [121]
    worst = await get(rig, base, min_risk_level="EMERGENCY")
    assert [line["cycle_id"] for line in worst["cycles"]] == [143]
    expected = [record.cycle_id for record in cycles(DECISIONS) if record.risk >= 1]
    assert [c["cycle_id"] for c in (await get(rig, base, min_risk_level="ELEVATED"))["cycles"]] == expected
    for wrong in (
        "limit=0",
        "limit=5001",
        "outcome=bad",
        "min_risk_level=normal",
        "start_cycle=5&end_cycle=4",
    ):
        assert (await rig.http.get(f"{base}?{wrong}")).status_code == 422
    one = await get(rig, f"{base}/142")
    assert (one["outcome"], one["mcap_filename"]) == ("reject", f"{STEM}_1.mcap")
    assert one["trace_id"] == f"mcap:{STEM}_1.mcap:142"
    await get(rig, f"{base}/301", 404)
    for wrong in ("x", "-1", str(2**70)):
        await get(rig, f"{base}/{wrong}", 422)


async def test_pictures(recordings: Path, rig: Rig) -> None:
    import cv2
    import numpy as np

    async def shade(**query: Any) -> int:
        answer = await rig.http.get(f"/mcap/sessions/{SESSION_ID}/frame", params={"camera": "front", **query})
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        assert float(answer.headers["x-log-time"]) > 1e9
        return int(cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1)[0, 0, 0])

    # Picture i, of every other cycle, is i grey.
    assert await shade(cycle_id=101) == pytest.approx(101, abs=3)
    assert await shade(cycle_id=102) == pytest.approx(101, abs=3)
    assert await shade(time=(BEGIN_NS + 150 * PERIOD_NS) / 1e9 + 0.001) == pytest.approx(151, abs=3)
    assert await shade() == await shade(time=0) == pytest.approx(1, abs=3)
    base = f"/mcap/sessions/{SESSION_ID}/frame"
    for wrong in (
        "camera=rear",
        "camera=front&time=nan",
        "camera=front&time=-1",
        "camera=front&time=1e300",
        "",
    ):
        assert (await rig.http.get(f"{base}?{wrong}")).status_code == 422
    await get(rig, base, 404, camera="front", cycle_id=1000)


async def test_live_log_and_recording_tell_the_same(data_dir: Path, rig: Rig) -> None:
    decisions = [P] * 30 + [C] * 7 + [P] * 520 + [R, P, R] + [P] * 10 + [F] + [P] * 20
    write_session(data_dir / "recordings", decisions, with_pictures=False, per_chunk=9)
    window = RiskWindow()
    for record in cycles(decisions):
        rig.services.feed.push("arm", record)
        assert window.add(record.decision, steady_ns=record.steady_ns) == record.risk
    await rig.services.risk_log.flush()
    live = (await get(rig, "/api/risk-log", limit=5000))["events"]
    recorded = (await get(rig, f"/api/risk-log/mcap/{STEM}.mcap", limit=5000))["events"]
    own = {"mcap_filename", "trace_id"}
    assert len(live) > 10
    assert [{k: v for k, v in event.items() if k not in own} for event in live] == [
        {k: v for k, v in event.items() if k not in own} for event in recorded
    ]
    assert all(event["trace_id"] == f"mcap:{STEM}.mcap:{event['cycle_id']}" for event in recorded)
    for query in ({"outcome": "clamp"}, {"min_risk_level": "CRITICAL"}, {"failure_type": "guard_triggered"}):
        some = (await get(rig, f"/api/risk-log/mcap/{STEM}.mcap", limit=5000, **query))["events"]
        wanted = (await get(rig, "/api/risk-log", limit=5000, **query))["events"]
        assert [event["cycle_id"] for event in some] == [event["cycle_id"] for event in wanted] != []
    newest = (await get(rig, f"/api/risk-log/mcap/{STEM}.mcap", limit=2))["events"]
    assert newest == recorded[:2]
    for wrong in ("limit=0", "outcome=x", "min_risk_level=x", "failure_type=x"):
        assert (await rig.http.get(f"/api/risk-log/mcap/{STEM}.mcap?{wrong}")).status_code == 422


async def test_lists_do_not_read_the_files_again(recordings: Path, data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        before = await sessions(rig)
        (cycle,) = (await get(rig, f"/mcap/sessions/{SESSION_ID}/cycles", start_cycle=250, limit=1))["cycles"]
    for path in (recordings / SESSION_ID).iterdir():
        stat = path.stat()
        raw = bytearray(path.read_bytes())
        raw[2000:3000] = bytes(1000)  # unnoticed, as long as nobody reads there
        path.write_bytes(raw)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    async with open_rig(data_dir) as rig:
        assert await sessions(rig) == before
        page = await get(rig, f"/mcap/sessions/{SESSION_ID}/cycles", start_cycle=250, limit=1)
        assert page["cycles"] == [cycle]


async def test_a_lost_index_is_made_again(recordings: Path, data_dir: Path) -> None:
    async with open_rig(data_dir) as rig:
        before = await sessions(rig)
        detail = await get(rig, f"/mcap/sessions/{SESSION_ID}")
    engine = open_engine(f"sqlite:///{data_dir / 'arena.db'}")
    with engine.begin() as db:
        db.execute(text("DELETE FROM recording_spans"))
        db.execute(text("DELETE FROM recording_files"))
    engine.dispose()
    async with open_rig(data_dir) as rig:
        assert await sessions(rig) == before
        assert await get(rig, f"/mcap/sessions/{SESSION_ID}") == detail


def test_the_stored_index_is_the_index(recordings: Path, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    store = RecordingStore(engine)
    book = RecordingBook(recordings, store)
    with book.open(SESSION_ID) as recording:
        for file in recording.files:
            stored = store.load(f"{SESSION_ID}/{file.source.path.name}")
            assert stored is not None and stored[1] == file.index
    engine.dispose()


async def test_a_file_put_in_place_of_another_is_read_anew(recordings: Path, rig: Rig) -> None:
    await sessions(rig)
    path = recordings / SESSION_ID / f"{STEM}.mcap"
    other = write_session(recordings.parent / "other", [P] * 7, with_pictures=False) / path.name
    os.replace(other, path)
    assert (await sessions(rig))[0]["total_cycles"] == 207


async def test_a_repaired_file_is_read_anew(data_dir: Path, rig: Rig) -> None:
    path = data_dir / "recordings" / SESSION_ID / f"{STEM}.mcap"
    writer = Writer(path, {"arm": "arm"})
    for record in cycles([P] * 50):
        writer.add_cycle(record, record.stamp_ns)
        if record.cycle_id % 10 == 0:
            writer.flush()
    writer.abandon()
    (entry,) = await sessions(rig)
    assert (entry["damaged"], entry["total_cycles"]) == (True, 50)
    assert not repair_file(path).was_whole
    (entry,) = await sessions(rig)
    assert (entry["damaged"], entry["total_cycles"]) == (False, 50)
    page = await get(rig, f"/mcap/sessions/{SESSION_ID}/cycles", limit=1000)
    assert [line["cycle_id"] for line in page["cycles"]] == list(range(1, 51))


async def test_another_unfinished_file_of_that_name_is_read_anew(data_dir: Path, rig: Rig) -> None:
    path = data_dir / "recordings" / SESSION_ID / f"{STEM}.mcap"
    for count, first in ((10, 1), (40, 1001)):
        writer = Writer(path.with_name(f".{count}"), {"arm": "arm"})
        for record in cycles([P] * count, first_id=first):
            writer.add_cycle(record, record.stamp_ns)
        writer.flush()
        writer.abandon()
        os.replace(writer.path, path)
        detail = await get(rig, f"/mcap/sessions/{SESSION_ID}")
        assert (detail["total_cycles"], detail["first_cycle"]) == (count, first)


def test_an_index_in_use_does_not_change(data_dir: Path, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    book = RecordingBook(tmp_path / "r", RecordingStore(engine))
    path, records = tmp_path / "r" / SESSION_ID / f"{STEM}.mcap", cycles([P] * 20)
    writer = Writer(path)
    writer.add_cycle(records[0], records[0].stamp_ns)
    writer.flush()
    with book.open(SESSION_ID) as early:
        for record in records[1:]:
            writer.add_cycle(record, record.stamp_ns)
        writer.flush()
        assert book.get(SESSION_ID).total("cycles") == 20
        index: FileIndex = early.files[0].index
        assert index.total("cycles") == 1 and len(list(early.cycles())) == 1
    writer.abandon()
    engine.dispose()
