# SPDX-License-Identifier: Apache-2.0
"""What gives way when the disk is nearly full."""

import shutil
from collections.abc import Callable
from pathlib import Path

from lerobot_arena.recording.disk import is_being_written
from lerobot_arena.recording.metadata_yaml import custom_data
from lerobot_arena.recording.names import session_files, session_folders
from lerobot_arena.recording.tally import CycleTally


def dispensable(root: Path) -> list[Path]:
    """Recordings that are known to hold no violation and are not being written, the oldest first."""
    return [folder for folder in session_folders(root) if _is_dispensable(folder)]


def _is_dispensable(folder: Path) -> bool:
    tally = CycleTally.from_record(custom_data(folder))
    if tally is None or tally.violations:
        return False
    return not any(is_being_written(path) for path in session_files(folder))


def make_room(root: Path, is_enough: Callable[[], bool], *, keep: str = "") -> list[str]:
    """Delete dispensable recordings, the oldest first, until `is_enough`; returns their names. Raises OSError.

    The recording named `keep` stays.
    """
    deleted: list[str] = []
    for folder in dispensable(root):
        if is_enough():
            break
        if folder.name != keep:
            shutil.rmtree(folder)
            deleted.append(folder.name)
    return deleted
