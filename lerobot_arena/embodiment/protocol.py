# SPDX-License-Identifier: Apache-2.0
"""What every embodiment does, whatever moves behind it. Nothing here waits: work happens on a backend's own threads."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.core.observation import CameraFrame, FloatArray, JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import TaskStatus


@dataclass(frozen=True, slots=True)
class JointReading:
    """Measured joints in radians, in the robot's order; velocities in rad/s where the backend knows them."""

    sample: JointSample
    velocities: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where a backend delivers. Called from its own threads; the joint thread is never the camera thread.

    `wants_frame` says whether anybody looks at a camera: a picture nobody sees need not be rendered. `hardware` is for
    a backend whose motors tell of their health, once or twice a second.
    """

    joints: Callable[[JointReading], None]
    frame: Callable[[CameraFrame], None]
    wants_frame: Callable[[str], bool]
    warn: Callable[[str], None]
    hardware: Callable[[HardwareReading], None] = field(default=lambda reading: None)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a backend is; `message` is for a person, `counters` for diagnostics.

    `is_protective_stop`: the robot stopped by itself, now or a moment ago; nothing is asked of it meanwhile, and
    afterwards only by a new start.
    """

    is_connected: bool
    message: str = ""
    counters: tuple[tuple[str, str], ...] = ()
    is_protective_stop: bool = False


class Embodiment(Protocol):
    """A simulator, a driver, or a bridge to a driver. `command` and all verbs come from one thread and never block."""

    robot: RobotSpec

    @property
    def camera_names(self) -> tuple[str, ...]:
        """The cameras it publishes; settled once `connect` returned."""
        ...

    def connect(self, outlet: Outlet) -> None:
        """Reach the device and begin to deliver; may take seconds. Never prompts.

        Raises Unavailable when it may work later, any other ArenaError when a person has to act first.
        """
        ...

    def command(self, positions: FloatArray, period_s: float) -> None:
        """Move towards `positions` (radians, robot's order) within `period_s`. The newest call wins."""
        ...

    def hold(self) -> None:
        """No command came in time: forget a target that was not applied yet, keep the last that was."""
        ...

    def emergency_stop(self) -> str:
        """Stop applying targets without making a new one. Says truthfully what is known to have happened.

        Torque is cut only where that is configured; then this may wait half a second for the motors' answer.
        """
        ...

    def clear_emergency(self) -> None:
        """Commands will come again. Nothing moves by this, and a protective stop does not end by it."""
        ...

    def condition(self) -> Condition:
        """Now."""
        ...

    def close(self) -> None:
        """Let go without moving or relaxing the arm. Also ends a `connect` under way on another thread."""
        ...


@runtime_checkable
class Simulated(Protocol):
    """What a simulator does on top."""

    def reset_scene(self) -> int:
        """Begin the next episode and return its seed. The caller has made sure that nobody drives the arm."""
        ...

    def repeat_scene(self) -> int:
        """The same with the scene of the last episode, so that two policies can be compared on one."""
        ...

    def task_status(self) -> TaskStatus:
        """The referee's view of the running episode."""
        ...
