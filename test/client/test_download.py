# SPDX-License-Identifier: Apache-2.0
"""Recordings into files: whole or not there, with progress, and gone on with after a break."""

import json
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.client import AsyncArena
from lerobot_arena.client import saving as savings
from lerobot_arena.core.errors import InvalidInput, NotFound, Unavailable
from lerobot_arena.core.verdict import Decision
from lerobot_arena.testing.live_bridge import LiveBridge
from lerobot_arena.testing.recordings import SESSION_ID, write_session
from lerobot_arena.testing.stalling_proxy import StallingProxy

CYCLES = 600
CUT_AFTER = savings._PART_BYTES + 8192
"""Behind the first part that the client writes, with the answer's head."""


@pytest.fixture
def recorded(data_dir: Path) -> Path:
    write_session(data_dir / "recordings", [Decision.PASS] * CYCLES, files=2)
    return data_dir / "recordings"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_part_of_a_recording_is_downloaded(recorded: Path, asker: Any, tmp_path: Path) -> None:
    from mcap.reader import make_reader

    folder = tmp_path / "got"
    folder.mkdir()
    told: list[int] = []
    target = folder / "run.mcap"
    path = asker(
        "recordings.download",
        SESSION_ID,
        target,
        start_cycle=10,
        end_cycle=19,
        topics=["/dam/cycle"],
        on_progress=told.append,
    )
    assert path == target and names(folder) == ["run.mcap"]
    assert told[-1] == target.stat().st_size
    with target.open("rb") as file:
        assert sum(1 for _ in make_reader(file).iter_messages()) == 10
    for again, kind in ((SESSION_ID, InvalidInput), ("nobody", NotFound)):
        with pytest.raises(kind):
            asker("recordings.download", again, folder / ("run.mcap" if again == SESSION_ID else "x.mcap"))
    assert names(folder) == ["run.mcap"]
    asker("recordings.download", SESSION_ID, target, overwrite=True)
    assert target.stat().st_size > told[-1]


def test_the_risk_log_is_exported(asker: Any, tmp_path: Path) -> None:
    for name in ("log.json", "log.csv"):
        assert asker("risk.export", tmp_path / name).stat().st_size > 2
    assert json.loads((tmp_path / "log.json").read_text()) == []
    with pytest.raises(InvalidInput):
        asker("risk.export", tmp_path / "log.txt")


async def test_a_break_is_gone_on_with(recorded: Path, bridge: LiveBridge, tmp_path: Path) -> None:
    async with (
        StallingProxy(bridge.url) as proxy,
        AsyncArena(proxy.url) as far,
        AsyncArena(bridge.url) as near,
    ):
        whole = (await near.recordings.download(SESSION_ID, tmp_path / "near.mcap")).read_bytes()
        assert len(whole) > 2 * CUT_AFTER
        told: list[int] = []
        proxy.cut_after(CUT_AFTER, CUT_AFTER)
        path = await far.recordings.download(SESSION_ID, tmp_path / "far.mcap", on_progress=told.append)
        is_whole = path.read_bytes() == whole
        assert is_whole and proxy.connections == 3
        assert told == sorted(told), "nothing was fetched twice"


async def test_a_failed_download_is_gone_on_with_later(
    recorded: Path, bridge: LiveBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(savings, "MOST_BREAKS", 1)
    folder = tmp_path / "got"
    folder.mkdir()
    async with StallingProxy(bridge.url) as proxy, AsyncArena(proxy.url) as arena:
        proxy.cut_after(CUT_AFTER)
        with pytest.raises(Unavailable):
            await arena.recordings.download(SESSION_ID, folder / "run.mcap")
        assert names(folder) == ["run.mcap.part", "run.mcap.part.json"]
        begun = (folder / "run.mcap.part").stat().st_size
        told: list[int] = []
        path = await arena.recordings.download(SESSION_ID, folder / "run.mcap", on_progress=told.append)
        assert told[0] > begun and names(folder) == ["run.mcap"]
        again = await arena.recordings.download(SESSION_ID, tmp_path / "again.mcap")
        is_same = path.read_bytes() == again.read_bytes()
        assert is_same
        # A beginning of what is there no more is thrown away.
        (folder / "old.mcap.part").write_bytes(b"x" * 100)
        note = {"path": f"/mcap/sessions/{SESSION_ID}/download", "query": {"start_cycle": 0, "end_cycle": -1}}
        (folder / "old.mcap.part.json").write_text(json.dumps({**note, "etag": '"other"'}))
        fresh = await arena.recordings.download(SESSION_ID, folder / "old.mcap")
        is_same = fresh.read_bytes() == path.read_bytes()
        assert is_same
