# SPDX-License-Identifier: Apache-2.0
"""What the catalog does in the background: one failure is logged and ends neither the work nor the bridge."""

import os
import time
from pathlib import Path

import pytest

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.platform.arena.leaderboard import Leaderboard
from lerobot_arena.platform.storage.blobs import ABANDONED_S
from lerobot_arena.testing.bridge_rig import open_rig, until


@pytest.mark.parametrize("error", [Unavailable("the database is away"), RuntimeError("never thought of")])
async def test_a_table_that_failed_once_counts_the_next_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("lerobot_arena.bridge.published._SETTLE_S", 0.0)
    refresh, calls = Leaderboard.refresh, []

    def failing_once(self: Leaderboard) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise error
        refresh(self)

    monkeypatch.setattr(Leaderboard, "refresh", failing_once)
    async with open_rig(tmp_path) as rig:
        await until(lambda: calls)
        rig.services.published.renew_table()
        await until(lambda: len(calls) >= 2)


async def test_a_catalog_that_cannot_be_seeded_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> list[object]:
        raise ConnectionError("the store is away")

    monkeypatch.setattr("lerobot_arena.bridge.published.seed_catalog", away)
    async with open_rig(tmp_path, seed_catalog=True) as rig:
        await until(lambda: "next start of the bridge tries again" in caplog.text)
        assert (await rig.http.get("/health")).status_code == 200


async def test_a_fresh_install_lists_the_policies_that_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lerobot_arena.bridge.published._SETTLE_S", 0.0)
    async with open_rig(tmp_path, seed_catalog=True) as rig:
        table = rig.services.published.leaderboard
        await until(lambda: len(table.table.standings.rows) == 2, 100.0)
        entries = (await rig.http.get("/v1/leaderboard")).json()["entries"]
        shipped = {"lerobot-arena/pony-bound", "lerobot-arena/pony-trot"}
        assert {entry["policy_ref"] for entry in entries} == shipped


async def test_what_a_killed_bridge_left_half_written_goes(tmp_path: Path) -> None:
    before = time.time() - 2 * ABANDONED_S
    left = [
        tmp_path / name for name in ("uploads/upload-x", "blobs/arena-blob-x", "blobs/datasets/arena-blob-x")
    ]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "partial").write_bytes(b"half")
        os.utime(folder, (before, before))
    async with open_rig(tmp_path):
        await until(lambda: not any(folder.exists() for folder in left))
