# SPDX-License-Identifier: Apache-2.0
"""Embodiments on a bench: what they deliver, and the hardware they believe to have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.embodiment.calibration import (
    load_calibration,
    robot_file_text,
    robot_spec_from_calibration,
)
from lerobot_arena.embodiment.protocol import Embodiment
from lerobot_arena.testing.bench import Catch
from lerobot_arena.testing.servos import ServoBus


@pytest.fixture
def catch() -> Catch:
    return Catch()


@pytest.fixture
def let_go() -> Iterator[list[Embodiment]]:
    """Embodiments to close after the test."""
    opened: list[Embodiment] = []
    yield opened
    for embodiment in opened:
        embodiment.close()


@pytest.fixture
def servos() -> Iterator[ServoBus]:
    bus = ServoBus()
    yield bus
    bus.close()


@pytest.fixture
def patient_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """LeRobot waits 0.3 s for a servo's answer instead of 50 ms: ours share a processor with other tests."""
    from lerobot.motors.feetech import feetech

    def set_packet_timeout(self: Any, packet_length: int) -> None:
        self.packet_start_time = self.getCurrentTime()
        self.packet_timeout = self.tx_time_per_byte * (packet_length + 3) + 300

    monkeypatch.setattr(feetech, "patch_setPacketTimeout", set_packet_timeout)


@pytest.fixture
def desk(servos: ServoBus, tmp_path: Path) -> tuple[RobotSpec, Path]:
    """The robot that fits the servos, with its file `desk.yaml`, and LeRobot's configuration of it."""
    config = servos.write_files(tmp_path)
    calibration = load_calibration(tmp_path / "desk.json")
    spec = robot_spec_from_calibration(load_robot("so101"), calibration, name="desk")
    (tmp_path / "desk.yaml").write_text(robot_file_text(spec))
    return spec, config


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Names of this folder's LeRobot plugins, made importable."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "plugins"))
    return ("arena_test_desk",)
