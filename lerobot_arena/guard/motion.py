# SPDX-License-Identifier: Apache-2.0
"""What the limiter compares with: the previous command and velocity, and how they start again after a pause."""

from collections.abc import Sequence

from lerobot_arena.guard.limiter import Vector


class MotionMemory:
    """The limiter's state after the last command of one run. Every pause ends in `seed`: going on never jumps."""

    def __init__(self, tolerance: Vector, last_command: Vector = ()) -> None:
        self._tolerance = tolerance
        self.command: Vector = last_command
        self.velocity: Vector = ()
        self.acceleration: Vector = ()
        self.is_seeded = False

    def seed(self, measured: Sequence[float]) -> None:
        """Stand still at the last command, joint by joint where the arm is within tolerance of it, else where it is.

        An arm that sags a little under its load keeps its target; one that was pushed away does not spring back.
        """
        if len(self.command) != len(measured):
            self.command = tuple(measured)
        else:
            self.command = tuple(
                old if abs(old - now) <= near else now
                for old, now, near in zip(self.command, measured, self._tolerance)
            )
        self.velocity = self.acceleration = (0.0,) * len(measured)
        self.is_seeded = True

    def pause(self) -> None:
        """Nothing was sent: the arm stands, or soon will."""
        self.is_seeded = False

    def moved(self, executed: Vector, dt_s: float) -> None:
        """A command left."""
        velocity = tuple((new - old) / dt_s for new, old in zip(executed, self.command))
        self.acceleration = tuple((new - old) / dt_s for new, old in zip(velocity, self.velocity))
        self.command, self.velocity = executed, velocity
