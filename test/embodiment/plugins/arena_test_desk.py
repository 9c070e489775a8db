# SPDX-License-Identifier: Apache-2.0
"""What a LeRobot user's own plugin looks like: a robot without a bus of LeRobot's, and a camera that draws itself.

Registered by import, as LeRobot's plugins are.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lerobot.cameras.camera import Camera
from lerobot.cameras.configs import CameraConfig
from lerobot.robots.config import RobotConfig
from lerobot.robots.robot import Robot

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
LOG: list[str] = []


@CameraConfig.register_subclass("arena_test_pattern")
@dataclass(kw_only=True)
class PatternCameraConfig(CameraConfig):
    color: tuple[int, int, int] = (10, 20, 30)
    stall_s: float = 0.0
    fails: bool = False


class PatternCamera(Camera):
    """One colour at its rate; may stall inside a read as a broken USB camera does."""

    def __init__(self, config: PatternCameraConfig) -> None:
        super().__init__(config)
        self.config = config
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @staticmethod
    def find_cameras() -> list[dict[str, Any]]:
        return []

    def connect(self, warmup: bool = True) -> None:
        if self.config.fails:
            raise ConnectionError("no such camera")
        self._is_connected = True

    def read(self) -> np.ndarray:
        time.sleep(self.config.stall_s or 1.0 / (self.fps or 30))
        return np.full((self.height, self.width, 3), self.config.color, dtype=np.uint8)

    def async_read(self, timeout_ms: float = 200) -> np.ndarray:
        return self.read()

    def read_latest(self, max_age_ms: int = 500) -> np.ndarray:
        raise AssertionError("the bus thread must not ask the cameras")

    def disconnect(self) -> None:
        self._is_connected = False


@RobotConfig.register_subclass("arena_test_desk")
@dataclass(kw_only=True)
class DeskRobotConfig(RobotConfig):
    cameras: dict[str, CameraConfig] = field(default_factory=dict)
    asks: bool = False
    is_calibrated: bool = True
    extra_action: str = ""
    read_s: float = 0.0


class DeskRobot(Robot):
    """Jumps to every target. Says what it was asked in LOG."""

    config_class = DeskRobotConfig
    name = "arena_test_desk"

    def __init__(self, config: DeskRobotConfig) -> None:
        super().__init__(config)
        self.config = config
        self.values = dict.fromkeys((f"{joint}.pos" for joint in JOINTS), 0.0)
        self._is_connected = False

    @property
    def observation_features(self) -> dict[str, Any]:
        return dict.fromkeys(self.values, float)

    @property
    def action_features(self) -> dict[str, Any]:
        extra = [self.config.extra_action] if self.config.extra_action else []
        return dict.fromkeys([*self.values, *extra], float)

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @property
    def is_calibrated(self) -> bool:
        return self.config.is_calibrated

    def connect(self, calibrate: bool = True) -> None:
        assert not calibrate, "connecting with calibrate=True prompts"
        if self.config.asks:
            input("Press ENTER to continue")
        self._is_connected = True
        LOG.append("connect")

    def calibrate(self) -> None:
        raise AssertionError("calibrate() prompts")

    def configure(self) -> None:
        pass

    def get_observation(self) -> dict[str, Any]:
        assert not self.config.cameras, "the cameras must not be read with the joints"
        time.sleep(self.config.read_s)
        return dict(self.values)

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        assert set(action) == set(self.action_features)
        self.values.update({key: value for key, value in action.items() if key in self.values})
        LOG.append("send")
        return action

    def disconnect(self) -> None:
        self._is_connected = False
        LOG.append("disconnect")
