# SPDX-License-Identifier: Apache-2.0
"""config/inference.yaml is the parameters' defaults, and reads back as them."""

from pathlib import Path

import pytest
import yaml

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import params_from_mapping, yaml_text
from lerobot_arena.inference.params import InferenceParams

FILE = Path(__file__).parents[2] / "config" / "inference.yaml"


def test_the_shipped_file_is_written_from_the_dataclass() -> None:
    assert FILE.read_text() == yaml_text("inference", InferenceParams), (
        "write it again: yaml_text('inference', InferenceParams)"
    )


def test_the_shipped_file_gives_the_defaults() -> None:
    values = yaml.safe_load(FILE.read_text())["/**"]["inference"]["ros__parameters"]
    values = {
        key: [item for item in value if item] if isinstance(value, list) else value
        for key, value in values.items()
    }
    assert params_from_mapping(InferenceParams, values) == InferenceParams()


def test_an_arm_may_have_its_own_robot() -> None:
    params = InferenceParams(robot="so101", robots=("left=/tmp/left.yaml",))
    assert (params.robot_of("left"), params.robot_of("right")) == ("/tmp/left.yaml", "so101")
    with pytest.raises(InvalidInput, match="write arm=robot"):
        InferenceParams(robots=("left",)).robot_of("left")
