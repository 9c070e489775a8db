# SPDX-License-Identifier: Apache-2.0
"""What the bridge asks of the robot side. node.py answers over ROS, testing/bridge_fake_link.py without."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core import topics
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.session import SessionsWanted
from lerobot_arena.rooms.ports import MediaLink, RoomTopics

VERBS = {
    **topics.GUARD_VERBS,
    "emergency_stop": topics.EMERGENCY_STOP,
    "clear_emergency": topics.CLEAR_EMERGENCY,
    "reset_scene": topics.RESET_SCENE,
    "repeat_scene": topics.REPEAT_SCENE,
    **{f"record_{verb}": name for verb, name in topics.RECORDER_VERBS.items()},
}


@dataclass(frozen=True, slots=True)
class VerbAnswer:
    """A Trigger service's response."""

    success: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A camera's newest image, still packed: JPEG bytes as they came, or a function that yields rgb H×W×3."""

    jpeg: bytes | None = None
    unpack: Callable[[], NDArray[np.uint8]] | None = None


class ArmsLink(Protocol):
    """The robot side as the bridge sees it. All methods are called on the event loop."""

    @property
    def rooms(self) -> RoomTopics:
        """The topics of rooms."""

    @property
    def media(self) -> MediaLink:
        """The process that speaks WebRTC."""

    def publish_wanted(self, wanted: SessionsWanted) -> None:
        """Latch which sessions should exist; follow the state of their arms from now on."""

    def publish_config(self, config: GuardConfig) -> None:
        """Latch what the guards should check by."""

    async def call(self, arm: str, verb: str, *, timeout_s: float) -> VerbAnswer:
        """Call one of VERBS on an arm. Raises Unavailable when nobody serves it, NotAnswering after `timeout_s`."""

    def open_camera(self, topic: str, on_picture: Callable[[Picture], None]) -> Callable[[], None]:
        """Deliver a camera's pictures, on any thread, until the returned function is called."""

    def decode_cycle(self, raw: Any) -> CycleRecord:
        """The record behind what the link pushed into the CycleFeed. Raises ValueError when it is none."""

    def glance_cycle(self, raw: Any) -> tuple[int, int]:
        """Its decision and risk as numbers, without reading the rest; PASS and NORMAL of what is no cycle."""
