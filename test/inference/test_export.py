# SPDX-License-Identifier: Apache-2.0
"""An export answers as LeRobot does, with its resize in the graph, and is not written when it doesn't."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.inference.export import ExportReport, export_checkpoint
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.policies import onnx_policy
from lerobot_arena.inference.policies.protocol import LoadOptions, PolicyInput
from lerobot_arena.testing.act_checkpoint import write_act_checkpoint
from lerobot_arena.testing.inference_rig import session
from lerobot_arena.testing.policy_folders import JOINTS, CheckpointFolder

slow = [pytest.mark.lerobot, pytest.mark.slow, pytest.mark.timeout(400)]
METADATA: dict[str, Any] = {"joint_names": list(JOINTS), "unit": "normalized", "fps": 30.0}


def recorded(count: int, size: int = 96) -> list[dict[str, np.ndarray]]:
    """Soft blobs on a ramp: not noise, not flat."""
    rng = np.random.default_rng(5)
    grid = np.linspace(0, 6, size)
    found = []
    for _ in range(count):
        wave = (
            np.sin(grid + rng.uniform(0, 6))[:, None, None]
            * np.cos(grid * rng.uniform(0.5, 2))[None, :, None]
        )
        image = 120 + 100 * wave * rng.uniform(0.3, 1, 3)
        found.append({
            "observation.state": rng.uniform(-60, 60, 6),
            "observation.images.front": image.astype(np.uint8),
        })  # fmt: skip
    return found


@pytest.fixture(scope="module")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_act_checkpoint(tmp_path_factory.mktemp("checkpoint") / "act")


@pytest.fixture(scope="module")
def exported(
    checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ExportReport, list[str]]]:
    said: list[str] = []
    out = tmp_path_factory.mktemp("export") / "onnx"
    report = export_checkpoint(
        checkpoint_folder,
        out,
        resize={"front": (192, 288)},
        recorded=recorded(6),
        metadata={**METADATA, "training": {"seed": 3}},
        report=said.append,
    )
    yield report, said


class TestExport:
    """Of the same random-weights checkpoint."""

    pytestmark = slow

    def test_the_report_says_how_near_it_is(self, exported: tuple[ExportReport, list[str]]) -> None:
        report, said = exported
        assert report.float32.random_inputs >= 20
        assert report.float32.recorded_inputs == 6
        assert 0 < report.float32.max_error < 1e-3
        assert report.float32.scaled_error < 1e-4
        assert report.nodes < 400, "tokens stay one tensor"
        assert report.precision == "float32"
        assert any("largest error" in line for line in said)
        manifest = json.loads((report.folder / "manifest.json").read_text())
        assert manifest["parity"]["float32"]["max_error"] == report.float32.max_error
        assert manifest["training"] == {"seed": 3}
        assert manifest["sha256"] == report.sha256

    def test_the_folder_is_a_policy_of_the_cameras_size(
        self, exported: tuple[ExportReport, list[str]]
    ) -> None:
        path = str(exported[0].folder)
        manifest = inspect_policy(path, wanted=session("s", path), robot=None)
        (camera,) = manifest.cameras
        assert (camera.height, camera.width) == (192, 288)
        assert (camera.trained_height, camera.trained_width) == (96, 96)
        assert manifest.sources == ("joint_names: manifest", "unit: manifest", "fps: manifest")
        policy = onnx_policy.load(manifest, LoadOptions(threads=1)).open()
        frame = np.zeros((192, 288, 3), np.uint8)
        assert policy.infer([PolicyInput(np.zeros(6), {"front": frame})]).shape == (20, 6)

    def test_int8_is_smaller_and_behind_the_gate(self, checkpoint_folder: Path, tmp_path: Path) -> None:
        frames = recorded(24)
        report = export_checkpoint(
            checkpoint_folder,
            tmp_path / "int8",
            int8=True,
            calibration=frames,
            recorded=frames,
            metadata=METADATA,
        )
        assert report.precision == "int8"
        assert report.int8 is not None
        assert report.int8.max_error > report.float32.max_error
        assert report.size_bytes < 15e6

    def test_nothing_is_written_above_the_tolerance(self, checkpoint_folder: Path, tmp_path: Path) -> None:
        frames = recorded(20)
        with pytest.raises(PolicyError, match="int8 export is off by"):
            export_checkpoint(
                checkpoint_folder,
                tmp_path / "strict",
                int8=True,
                int8_tolerance=1e-6,
                calibration=frames,
                metadata=METADATA,
            )
        assert not (tmp_path / "strict").exists()

    def test_int8_needs_recorded_observations(self, checkpoint_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(PolicyError, match="at least 20 recorded observations"):
            export_checkpoint(checkpoint_folder, tmp_path / "out", int8=True, calibration=recorded(3))

    def test_a_resize_of_a_camera_it_lacks_or_in_broken_blocks(
        self, checkpoint_folder: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(PolicyError, match="no camera 'wrist' to resize; the policy has front"):
            export_checkpoint(checkpoint_folder, tmp_path / "out", resize={"wrist": (192, 192)})
        with pytest.raises(Exception, match="no whole blocks"):
            export_checkpoint(checkpoint_folder, tmp_path / "out", resize={"front": (480, 640)})


def test_other_types_are_refused_by_name(checkpoint: CheckpointFolder, tmp_path: Path) -> None:
    checkpoint.config["type"] = "diffusion"
    with pytest.raises(PolicyError, match="'diffusion' policies cannot be exported yet, only act"):
        export_checkpoint(checkpoint.write(), tmp_path / "out")


def test_a_step_without_a_graph_is_refused(checkpoint: CheckpointFolder, tmp_path: Path) -> None:
    checkpoint.before.append(
        {"registry_name": "image_crop_resize_processor", "config": {"resize_size": [8, 8]}}
    )
    with pytest.raises(PolicyError, match="'image_crop_resize_processor', which the export has no graph for"):
        export_checkpoint(checkpoint.write(), tmp_path / "out")
