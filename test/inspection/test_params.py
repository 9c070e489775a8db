# SPDX-License-Identifier: Apache-2.0
"""config/inspection.yaml is what the dataclass says."""

from lerobot_arena.core.params import yaml_text
from lerobot_arena.core.share import share_folder
from lerobot_arena.inspection.params import InspectionParams


def test_the_shipped_file_is_written_from_the_parameters() -> None:
    text = (share_folder() / "config" / "inspection.yaml").read_text()
    assert text == yaml_text("foxglove", InspectionParams)
