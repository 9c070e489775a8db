# SPDX-License-Identifier: Apache-2.0
"""config/recorder.yaml is what the dataclass says."""

from lerobot_arena.core.params import yaml_text
from lerobot_arena.core.share import share_folder
from lerobot_arena.recording.params import RecorderParams


def test_the_shipped_file_is_written_from_the_parameters() -> None:
    assert (share_folder() / "config" / "recorder.yaml").read_text() == yaml_text("recorder", RecorderParams)
