# SPDX-License-Identifier: Apache-2.0
"""Making and connecting a LeRobot robot without prompts, and letting go of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from lerobot_arena.core.errors import ArenaError, InvalidInput, Unavailable
from lerobot_arena.embodiment.lerobot_joints import parts_of
from lerobot_arena.embodiment.protocol import Outlet


def make_device(config: Any) -> Any:
    """LeRobot's robot of this config. Raises InvalidInput."""
    from lerobot.robots.utils import make_robot_from_config

    try:
        return make_robot_from_config(config)
    except (ImportError, ValueError, NotImplementedError) as error:
        raise InvalidInput(f"LeRobot cannot make a {config.type}: {error}") from error


def check_motors(device: Any) -> None:
    """Look at the motors without touching torque. Raises Unavailable (no answer), InvalidInput (other calibration)."""
    for _, part in parts_of(device):
        bus = getattr(part, "bus", None)
        if bus is None:
            continue
        try:
            bus.connect()
            try:
                fits = part.is_calibrated
            finally:
                bus.disconnect(disable_torque=False)
        except Exception as error:  # SDKs raise OSError, ConnectionError, RuntimeError and their own
            raise Unavailable(f"{part.name} does not answer: {_one_line(error)}") from error
        if not fits:
            raise InvalidInput(
                f"The motors hold another calibration than {part.calibration_fpath}: run `lerobot-calibrate` for id "
                f"{part.id or '…'} again, or use the id the arm was calibrated with."
            )


def connect_device(device: Any, outlet: Outlet) -> None:
    """Connect with the stored calibration. Raises InvalidInput, Unavailable; the port is free again then."""
    try:
        device.connect(calibrate=False)
        if device.is_calibrated:
            return
        problem: ArenaError = InvalidInput(
            f"{device.name} {device.id or ''} is not calibrated: run `lerobot-calibrate` first."
        )
    except EOFError:
        problem = InvalidInput(
            f"{device.name} asked for input while connecting: run `lerobot-calibrate` for it first."
        )
    except Exception as error:  # as above
        problem = Unavailable(f"{device.name} does not connect: {_one_line(error)}")
    _let_go(device, outlet)
    raise problem


def _let_go(device: Any, outlet: Outlet) -> None:
    """Free what a failed connect holds, or the next try finds the port taken. Torque stays as it is."""
    if device.is_connected:
        try_to(device.disconnect, outlet)
    for _, part in parts_of(device):
        bus = getattr(part, "bus", None)
        if bus is not None and bus.is_connected:
            try_to(partial(bus.disconnect, disable_torque=False), outlet)


def try_to(disconnect: Callable[[], None], outlet: Outlet) -> None:
    """Disconnect; what it raises is a warning."""
    try:
        disconnect()
    except Exception as error:  # the cable is out: nothing is left to let go
        outlet.warn(f"Disconnecting failed: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
