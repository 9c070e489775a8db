# SPDX-License-Identifier: Apache-2.0
"""`arena export` and `arena train-demo` as commands; what they do is tested where it is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.cli.export import parse_resize
from lerobot_arena.core.errors import InvalidInput


def arena(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_int8_without_frames_is_wrong_usage(tmp_path: Path) -> None:
    result = arena("export", str(tmp_path), "--int8")
    assert result.exit_code == 2
    assert "--dataset" in result.stderr


def test_a_folder_without_a_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    result = arena("export", str(tmp_path / "nothing"))
    assert result.exit_code == 2
    assert str(tmp_path / "nothing") in result.stderr


def test_a_folder_without_a_dataset_is_refused_by_name(tmp_path: Path) -> None:
    result = arena("export", str(tmp_path), "--dataset", str(tmp_path))
    assert result.exit_code == 2
    assert "meta/info.json" in result.stderr


def test_frame_sizes_are_height_by_width() -> None:
    assert parse_resize("front=480x640") == ("front", (480, 640))
    for wrong in ("front", "front=480", "=480x640", "front=axb"):
        with pytest.raises(InvalidInput):
            parse_resize(wrong)


@pytest.mark.lerobot
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_checkpoint_is_exported_and_compared_on_a_datasets_frames(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    from lerobot_arena.testing.act_checkpoint import write_act_checkpoint

    checkpoint = write_act_checkpoint(tmp_path / "act")
    config = json.loads((checkpoint / "config.json").read_text())["input_features"]
    features: dict[str, dict[str, Any]] = {
        "action": {"dtype": "float32", "shape": (6,), "names": list("abcdef")}
    }
    frame: dict[str, Any] = {"action": np.zeros(6, np.float32), "task": "t"}
    rng = np.random.default_rng(0)
    for key, feature in config.items():
        if key.startswith("observation.images"):
            shape = (*feature["shape"][1:], 3)
            features[key] = {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"]}
            frame[key] = rng.integers(0, 256, shape, np.uint8)
        else:
            features[key] = {"dtype": "float32", "shape": tuple(feature["shape"]), "names": list("abcdef")}
            frame[key] = rng.uniform(-1, 1, feature["shape"]).astype(np.float32)
    dataset = LeRobotDataset.create("local/frames", 30, features, root=tmp_path / "data", use_videos=False)
    for _ in range(12):
        dataset.add_frame(dict(frame))
    dataset.save_episode()
    dataset.finalize()
    out = tmp_path / "onnx"
    result = arena(
        "export",
        str(checkpoint),
        "--out",
        str(out),
        "--dataset",
        str(tmp_path / "data"),
        "--frames",
        "8",
        "--json",
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["float32"]["random_inputs"] >= 20 and report["float32"]["recorded_inputs"] == 8
    assert report["float32"]["scaled_error"] <= 1e-4
    assert (out / "model.onnx").is_file() and (out / "manifest.json").is_file()


def test_train_demo_does_not_touch_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    result = arena("train-demo", str(tmp_path))
    assert result.exit_code == 2
    assert "not empty" in result.stderr
