# SPDX-License-Identifier: Apache-2.0
"""`arena robot add`: what it writes is what the embodiment reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lerobot_arena.bringup import find_robot
from lerobot_arena.cli.app import app
from lerobot_arena.cli.robot_files import driver_config_beside, parse_camera, parse_field
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.units import NORMALIZED

MOTORS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """A calibration as lerobot-calibrate leaves it."""
    data = {
        name: {"id": number, "drive_mode": 0, "homing_offset": 12, "range_min": 900, "range_max": 3100}
        for number, name in enumerate(MOTORS, 1)
    }
    file = tmp_path / "my_arm.json"
    file.write_text(json.dumps(data))
    return file


def add(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["robot", "add", *arguments])


def test_the_robot_file_and_the_drivers_config_belong_together(data_dir: Path, calibration: Path) -> None:
    result = add(
        "left", "--port", "/dev/ttyACM0", "--id", "my_arm", "--calibration", str(calibration),
        "--camera", "front=0:640x480@30", "--camera", "wrist=/dev/video2:320x240", "--field", "use_degrees=false",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    path = find_robot("left", data_dir)
    spec = load_robot(path)
    assert [(c.name, c.width, c.height, c.rate_hz) for c in spec.cameras] == [
        ("front", 640, 480, 30.0),
        ("wrist", 320, 240, 30.0),
    ]
    ends = spec.to_radians(spec.from_radians(spec.limits().lower, NORMALIZED), NORMALIZED)
    assert ends == pytest.approx(spec.limits().lower)
    config = json.loads(Path(str(driver_config_beside(path))).read_text())
    assert (
        config["type"] == "so101_follower"
        and config["port"] == "/dev/ttyACM0"
        and config["use_degrees"] is False
    )
    assert config["cameras"]["wrist"]["index_or_path"] == "/dev/video2"
    kept = Path(config["calibration_dir"]) / f"{config['id']}.json"
    assert json.loads(kept.read_text()) == json.loads(calibration.read_text())


@pytest.mark.lerobot
def test_lerobot_itself_accepts_what_was_written(data_dir: Path, calibration: Path) -> None:
    from lerobot_arena.embodiment.lerobot_config import load_config

    assert add("left", "--port", "/dev/ttyACM0", "--calibration", str(calibration)).exit_code == 0
    config = load_config(str(driver_config_beside(find_robot("left", data_dir))), ())
    assert type(config).__name__ == "SOFollowerRobotConfig"
    assert config.port == "/dev/ttyACM0" and config.id == "left"


@pytest.mark.lerobot
def test_what_lerobot_does_not_accept_is_refused(data_dir: Path, calibration: Path) -> None:
    result = add("left", "--type", "so999", "--port", "x", "--calibration", str(calibration))
    assert result.exit_code == 2
    assert "so999" in result.stderr
    assert not list((data_dir / "robots").glob("left.*")), "a refused robot must not be there"


def test_a_robot_is_not_overwritten_unless_told(data_dir: Path, calibration: Path) -> None:
    arguments = ["left", "--port", "/dev/ttyACM0", "--calibration", str(calibration)]
    assert add(*arguments).exit_code == 0
    again = add(*arguments)
    assert again.exit_code == 1 and "--force" in again.stderr
    assert add(*arguments, "--force").exit_code == 0


def test_without_a_calibration_the_remedy_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_LEROBOT_CALIBRATION", str(data_dir / "none"))
    result = add("left", "--port", "/dev/ttyACM0")
    assert result.exit_code == 2
    assert "lerobot-calibrate" in result.stderr


def test_lerobots_own_calibration_is_found_by_id(
    data_dir: Path, calibration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_dir / "calibration" / "robots" / "so_follower"
    folder.mkdir(parents=True)
    (folder / "left.json").write_text(calibration.read_text())
    monkeypatch.setenv("HF_LEROBOT_CALIBRATION", str(data_dir / "calibration"))
    assert add("left", "--port", "/dev/ttyACM0").exit_code == 0


@pytest.mark.parametrize("name", ["../x", "a/b", "", "1st", "my arm"])
def test_a_name_that_is_no_file_name_is_refused(data_dir: Path, calibration: Path, name: str) -> None:
    assert add(name, "--calibration", str(calibration)).exit_code == 2
    assert not list(data_dir.glob("**/*.yaml"))


def test_list_shows_what_was_added(data_dir: Path, calibration: Path) -> None:
    add("left", "--port", "/dev/ttyACM0", "--calibration", str(calibration))
    listed = CliRunner().invoke(app, ["robot", "list"]).stdout
    assert "left" in listed and "so101_follower" in listed and "/dev/ttyACM0" in listed


@pytest.mark.parametrize(
    "text", ["front", "front=0", "front=0:640", "front=0:0x480", "=0:640x480", "f=0:640x480@999"]
)
def test_what_is_no_camera_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="camera"):
        parse_camera(text)


def test_a_device_path_may_hold_colons() -> None:
    camera = parse_camera("front=/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0:640x480@30")
    assert camera.source == "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0"


@given(st.integers(0, 99), st.integers(1, 8192), st.integers(1, 8192), st.integers(1, 240))
def test_every_camera_that_can_be_written_is_read_back(
    index: int, width: int, height: int, rate: int
) -> None:
    camera = parse_camera(f"cam={index}:{width}x{height}@{rate}")
    assert camera.as_lerobot() == {
        "type": "opencv", "index_or_path": index, "width": width, "height": height, "fps": rate,
    }  # fmt: skip


def test_fields_are_json_or_text() -> None:
    assert parse_field("use_degrees=true") == ("use_degrees", True)
    assert parse_field("remote_ip=192.168.1.2") == ("remote_ip", "192.168.1.2")
    with pytest.raises(InvalidInput):
        parse_field("use_degrees")
