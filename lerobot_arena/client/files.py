# SPDX-License-Identifier: Apache-2.0
"""Calls whose answers go to files."""

import os
from collections.abc import Sequence
from pathlib import Path

from lerobot_arena.client.matchups import LeaderboardCalls, download_trials
from lerobot_arena.client.records import RecordingCalls, Risk, download_part, export_risk
from lerobot_arena.client.saving import Progress, save, save_async
from lerobot_arena.client.transport import AwaitingTransport, BlockingTransport

Name = str | os.PathLike[str]


class Recordings(RecordingCalls[BlockingTransport]):
    """MCAP files that rosbag2 and Foxglove open too."""

    def download(
        self,
        session_id: str,
        path: Name,
        *,
        start_cycle: int = 0,
        end_cycle: int = -1,
        topics: Sequence[str] | None = None,
        on_progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Path:
        """One MCAP file of these cycles and topics; `on_progress` is told the bytes so far.

        A connection that breaks is gone on with; called again after a failure, it goes on from `<path>.part`.
        """
        call = download_part(session_id, start_cycle, end_cycle, topics)
        return save(self._via, call, Path(path), on_progress, overwrite=overwrite)


class AsyncRecordings(RecordingCalls[AwaitingTransport]):
    """MCAP files that rosbag2 and Foxglove open too."""

    async def download(
        self,
        session_id: str,
        path: Name,
        *,
        start_cycle: int = 0,
        end_cycle: int = -1,
        topics: Sequence[str] | None = None,
        on_progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Path:
        """One MCAP file of these cycles and topics; `on_progress` is told the bytes so far, in another thread.

        A connection that breaks is gone on with; called again after a failure, it goes on from `<path>.part`.
        """
        call = download_part(session_id, start_cycle, end_cycle, topics)
        return await save_async(self._via, call, Path(path), on_progress, overwrite=overwrite)


class RiskLog(Risk[BlockingTransport]):
    """What guards changed or refused."""

    def export(self, path: Name, *, overwrite: bool = False) -> Path:
        """Every event, oldest first, into a file that ends in .json or .csv."""
        target = Path(path)
        return save(self._via, export_risk(target.suffix), target, overwrite=overwrite)


class AsyncRiskLog(Risk[AwaitingTransport]):
    """What guards changed or refused."""

    async def export(self, path: Name, *, overwrite: bool = False) -> Path:
        """Every event, oldest first, into a file that ends in .json or .csv."""
        target = Path(path)
        return await save_async(self._via, export_risk(target.suffix), target, overwrite=overwrite)


class Leaderboard(LeaderboardCalls[BlockingTransport]):
    """What all votes say."""

    def download(self, path: Name, *, overwrite: bool = False) -> Path:
        """Every vote as JSON lines; `arena leaderboard compute` makes the same table of it."""
        return save(self._via, download_trials(), Path(path), overwrite=overwrite)


class AsyncLeaderboard(LeaderboardCalls[AwaitingTransport]):
    """What all votes say."""

    async def download(self, path: Name, *, overwrite: bool = False) -> Path:
        """Every vote as JSON lines; `arena leaderboard compute` makes the same table of it."""
        return await save_async(self._via, download_trials(), Path(path), overwrite=overwrite)
