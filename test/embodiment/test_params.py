# SPDX-License-Identifier: Apache-2.0
"""config/embodiment.yaml is the parameters' defaults, and reads back as them."""

from pathlib import Path

import yaml

from lerobot_arena.core.params import params_from_mapping, yaml_text
from lerobot_arena.embodiment.params import EmbodimentParams

FILE = Path(__file__).parents[2] / "config" / "embodiment.yaml"


def test_the_shipped_file_is_written_from_the_dataclass() -> None:
    assert FILE.read_text() == yaml_text("embodiment", EmbodimentParams), (
        "write it again: yaml_text('embodiment', EmbodimentParams)"
    )


def test_the_shipped_file_gives_the_defaults() -> None:
    values = yaml.safe_load(FILE.read_text())["/**"]["embodiment"]["ros__parameters"]
    values = {
        key: [item for item in value if item] if isinstance(value, list) else value
        for key, value in values.items()
    }
    assert params_from_mapping(EmbodimentParams, values) == EmbodimentParams()
