# SPDX-License-Identifier: Apache-2.0
"""config/arena.rviz shows what an arm publishes."""

import yaml

from lerobot_arena.core import topics
from lerobot_arena.core.share import share_folder


def test_it_shows_model_frames_cameras_and_boundaries() -> None:
    scene = yaml.safe_load((share_folder() / "config" / "arena.rviz").read_text())["Visualization Manager"]
    shown = {item["Class"].rpartition("/")[2]: item for item in scene["Displays"]}
    assert shown.keys() >= {"RobotModel", "TF", "Image", "MarkerArray"}
    boundaries = shown["MarkerArray"]["Topic"]
    assert boundaries["Value"] == topics.on_arm("arm", topics.GUARD_MARKERS)
    assert boundaries["Durability Policy"] == "Transient Local", "it is published once per change"
    pictures = {item["Topic"]["Value"] for item in scene["Displays"] if item["Class"].endswith("/Image")}
    assert pictures == {topics.camera("arm", name) for name in ("front", "wrist")}
