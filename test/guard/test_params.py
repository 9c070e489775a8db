# SPDX-License-Identifier: Apache-2.0
"""config/guard.yaml is what the dataclass says."""

from lerobot_arena.core.params import yaml_text
from lerobot_arena.core.share import share_folder
from lerobot_arena.guard.params import GuardParams


def test_the_shipped_file_is_written_from_the_parameters() -> None:
    assert (share_folder() / "config" / "guard.yaml").read_text() == yaml_text("guard", GuardParams)
