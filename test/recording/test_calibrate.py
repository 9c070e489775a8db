# SPDX-License-Identifier: Apache-2.0
"""`arena guard calibrate`: a detector's threshold from recorded runs that succeeded, and from no others."""

import json
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import lerobot_arena
from lerobot_arena.cli.app import app
from lerobot_arena.core.clock import NS
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import TaskStatus
from lerobot_arena.core.verdict import Decision
from lerobot_arena.inference.scores.detector_file import read_detector
from lerobot_arena.testing.recordings import (
    BEGIN_NS,
    OWN,
    PERIOD_NS,
    Writer,
    cycles,
    joint_state,
    message_of,
    picture,
)

JOINTS = load_robot("so101").joint_names


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    shutil.copytree(str(resources.files(lerobot_arena) / "models" / "demo"), folder)
    return folder


def runs(path: Path, successes: list[bool]) -> Path:
    """Short runs; the pictures of those that fail are far from all others."""
    writer = Writer(path, {"arm": "arm", "robot": "so101"})
    for number, is_success in enumerate(successes):
        begin_ns = BEGIN_NS + number * 2 * NS
        for record in cycles([Decision.PASS] * 15, begin_ns=begin_ns):
            now_ns = record.stamp_ns
            sample = JointSample(JOINTS, np.array(record.measured), "radians", now_ns - 20, 0)
            writer.add("/arm/joint_states", "sensor_msgs/msg/JointState", joint_state(sample), now_ns - 20)
            shade = 100 + number if is_success else 255
            pixels = np.full((480, 640, 3), shade, np.uint8)
            writer.add("/arm/dam/images/front", *picture(pixels, now_ns - 15, as_jpeg=True), now_ns - 10)
            writer.add_cycle(replace(record, epoch=number + 1, joint_names=JOINTS), now_ns)
        status = message_of(TaskStatus("pick_place", is_success=is_success, is_over=True))
        writer.add("/arm/task/status", f"{OWN}/TaskStatus", status, begin_ns + 20 * PERIOD_NS)
    writer.end()
    return path


def calibrated(policy: Path, *arguments: object) -> dict[str, float]:
    command = ["guard", "calibrate", str(policy), *map(str, arguments), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    told: dict[str, float] = json.loads(result.output.strip().splitlines()[-1])
    return told


def test_runs_that_succeeded_set_the_threshold(policy: Path, tmp_path: Path) -> None:
    path = runs(tmp_path / "a.mcap", [True, True, False, True])
    told = calibrated(policy, path, "--alpha", 0.4)
    detector = read_detector(policy)
    assert detector is not None and detector.calibration is not None
    assert (told["episodes"], told["threshold"]) == (3, pytest.approx(detector.calibration.threshold))
    every = calibrated(policy, path, "--alpha", 0.25, "--every-run")
    assert every["episodes"] == 4 and every["threshold"] > told["threshold"]


def test_too_few_runs_are_refused_and_change_nothing(policy: Path, tmp_path: Path) -> None:
    before = (policy / "ood.safetensors").read_bytes()
    path = runs(tmp_path / "a.mcap", [True, False])
    result = CliRunner().invoke(app, ["guard", "calibrate", str(policy), str(path)])
    assert result.exit_code == 2 and "episodes" in result.output
    assert (policy / "ood.safetensors").read_bytes() == before
