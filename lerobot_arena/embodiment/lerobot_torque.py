# SPDX-License-Identifier: Apache-2.0
"""Cutting a LeRobot robot's torque on demand, and giving it back where the arm is. For the thread that owns the bus."""

from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.embodiment.lerobot_bus import forget_late_answers
from lerobot_arena.embodiment.lerobot_joints import parts_of

_REGISTER = "Torque_Enable"


def buses_with_torque(device: Any) -> list[Any]:
    """The buses of all arms of a robot. Raises InvalidInput when the torque of one cannot be switched."""
    buses = []
    for _, part in parts_of(device):
        bus = getattr(part, "bus", None)
        tables = getattr(bus, "model_ctrl_table", None) or {}
        motors = getattr(bus, "motors", {}).values()
        if not motors or any(_REGISTER not in tables.get(motor.model, {}) for motor in motors):
            raise InvalidInput(
                f"The torque of {part.name} cannot be cut from here: set torque_off_on_estop to false, and use the "
                "robot's own emergency stop."
            )
        buses.append(bus)
    return buses


def switch_torque(buses: list[Any], *, is_on: bool) -> tuple[int, int]:
    """Tell all motors at once, then ask each: (how many did, of how many). Raises what LeRobot raises."""
    forget_late_answers(buses)
    for bus in buses:
        bus.sync_write(_REGISTER, int(is_on), normalize=False)
    states = [state for bus in buses for state in bus.sync_read(_REGISTER, normalize=False).values()]
    return sum(bool(state) == is_on for state in states), len(states)
