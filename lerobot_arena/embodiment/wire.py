# SPDX-License-Identifier: Apache-2.0
"""What a backend may ask of the ROS graph. The node implements it; only the `topics` backend uses it."""

from collections.abc import Sequence
from typing import Protocol


class Wire(Protocol):
    """Commands to a controller that already runs under ros2_control."""

    def send_trajectory(self, names: Sequence[str], positions: Sequence[float], seconds: float) -> None:
        """One point, due in `seconds`; no positions: an empty trajectory."""
        ...

    def send_group(self, positions: Sequence[float]) -> None:
        """One value per joint of a position group, in the controller's order."""
        ...

    def listener_count(self) -> int:
        """How many subscribers the command topic has."""
        ...
