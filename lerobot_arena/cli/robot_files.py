# SPDX-License-Identifier: Apache-2.0
"""The robots a person added: under ARENA_DATA_DIR/robots one robot file and one LeRobot config each."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import Conflict, InvalidInput
from lerobot_arena.core.robot import CameraSpec, RobotSpec
from lerobot_arena.embodiment.calibration import (
    load_calibration,
    robot_file_text,
    robot_spec_from_calibration,
)

CONFIG_SUFFIX = ".lerobot.json"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_CAMERA = re.compile(r"(?P<name>\w+)=(?P<source>.+):(?P<width>\d+)x(?P<height>\d+)(?:@(?P<rate>\d+))?")
_DEFAULT_RATE_HZ = 30


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """A camera of a LeRobot arm: OpenCV's index or a device path, and the size it is opened with."""

    spec: CameraSpec
    source: int | str

    def as_lerobot(self) -> dict[str, Any]:
        """LeRobot's OpenCVCameraConfig."""
        return {
            "type": "opencv",
            "index_or_path": self.source,
            "width": self.spec.width,
            "height": self.spec.height,
            "fps": round(self.spec.rate_hz),
        }


def parse_camera(text: str) -> CameraChoice:
    """`front=0:640x480@30` or `wrist=/dev/video2:640x480`. Raises InvalidInput."""
    match = _CAMERA.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{text!r} is not a camera: write name=index_or_path:WIDTHxHEIGHT@FPS, as front=0:640x480@30."
        )
    rate_hz = float(match["rate"] or _DEFAULT_RATE_HZ)
    spec = CameraSpec(match["name"], int(match["width"]), int(match["height"]), rate_hz)
    if not (0 < spec.width <= 8192 and 0 < spec.height <= 8192 and 0 < rate_hz <= 240):
        raise InvalidInput(f"{text!r}: {spec.width}×{spec.height} at {rate_hz:g} Hz is not a camera.")
    source = match["source"]
    return CameraChoice(spec, int(source) if source.isdigit() else source)


def parse_field(text: str) -> tuple[str, Any]:
    """`use_degrees=true` as a field of LeRobot's config; the value is JSON, else a string. Raises InvalidInput."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise InvalidInput(f"{text!r} is not a field: write name=value, as use_degrees=true.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@dataclass(frozen=True, slots=True)
class NewRobot:
    """Everything `arena robot add` was told."""

    name: str
    lerobot_type: str
    port: str
    robot_id: str
    calibration: Path
    base: RobotSpec
    cameras: Sequence[CameraChoice] = ()
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AddedRobot:
    """What a robot's files are."""

    name: str
    robot_file: Path
    config_file: Path
    config: Mapping[str, Any]


def find_calibration(robot_id: str, environment: Mapping[str, str]) -> Path:
    """LeRobot's own calibration of an id, where LeRobot keeps it. Raises InvalidInput when there is not exactly one."""
    home = Path(environment.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    lerobot = Path(environment.get("HF_LEROBOT_HOME") or home / "lerobot").expanduser()
    folder = Path(environment.get("HF_LEROBOT_CALIBRATION") or lerobot / "calibration").expanduser()
    found = sorted((folder / "robots").glob(f"*/{robot_id}.json"))
    if len(found) != 1:
        there = f"several: {', '.join(map(str, found))}" if found else f"none under {folder / 'robots'}"
        raise InvalidInput(
            f"LeRobot's calibration of {robot_id!r} is needed and there is {there}. Run `lerobot-calibrate`, or name "
            "the file with --calibration."
        )
    return found[0]


def write_robot(
    robot: NewRobot, folder: Path, *, check: Callable[[Path], None], overwrite: bool = False
) -> AddedRobot:
    """Write a robot's files; the config only if `check` raises nothing for it.

    Raises Conflict when they exist, InvalidInput when the calibration does not fit.
    """
    if not _NAME.fullmatch(robot.name):
        raise InvalidInput(
            f"{robot.name!r} cannot name a robot: use letters, digits and underscores, a letter first."
        )
    robot_file = folder / f"{robot.name}.yaml"
    if robot_file.exists() and not overwrite:
        raise Conflict(
            f"There is a robot {robot.name!r} already ({robot_file}): choose another name, or --force."
        )
    calibration = load_calibration(robot.calibration)
    spec = replace(
        robot_spec_from_calibration(robot.base, calibration, name=robot.name),
        cameras=tuple(camera.spec for camera in robot.cameras),
        description=f"{robot.lerobot_type} {robot.robot_id} at {robot.port}",
    )
    # A copy: a later calibration of the same id must not silently change what radians mean here.
    kept = folder / robot.name / f"{robot.robot_id}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(robot.calibration, kept)
    config = {
        "type": robot.lerobot_type,
        **({"port": robot.port} if robot.port else {}),
        "id": robot.robot_id,
        "calibration_dir": str(kept.parent),
        "cameras": {camera.spec.name: camera.as_lerobot() for camera in robot.cameras},
        **(robot.fields or {}),
    }
    config_file = folder / f"{robot.name}{CONFIG_SUFFIX}"
    _write(config_file, json.dumps(config, indent=2) + "\n", check)
    _write(robot_file, robot_file_text(spec), lambda unfinished: None)
    return AddedRobot(robot.name, robot_file, config_file, config)


def _write(path: Path, text: str, check: Callable[[Path], None]) -> None:
    """Whole and checked, or not at all."""
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_text(text)
        check(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def added_robots(folder: Path) -> list[AddedRobot]:
    """All robots in a folder; a config that cannot be read shows as an empty one."""
    return [
        AddedRobot(file.stem, file, file.with_name(file.stem + CONFIG_SUFFIX), _config_of(file))
        for file in sorted(folder.glob("*.yaml"))
    ]


def _config_of(robot_file: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(robot_file.with_name(robot_file.stem + CONFIG_SUFFIX).read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def driver_config_beside(robot_file: str) -> Path | None:
    """LeRobot's config that belongs to an added robot's file."""
    path = Path(robot_file)
    beside = path.with_name(path.stem + CONFIG_SUFFIX)
    return beside if path.suffix == ".yaml" and beside.is_file() else None
