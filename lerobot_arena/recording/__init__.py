# SPDX-License-Identifier: Apache-2.0
"""Recordings: MCAP files that are loopback sessions, rosbag2 and Foxglove files at once.

`lerobot_arena.recording.open(path)` reads one back: its cycles, observations, actions, chunks, joints and frames.
"""

from lerobot_arena.recording.reader import Message, Recording
from lerobot_arena.recording.reader import open_recording as open

__all__ = ["Message", "Recording", "open"]
