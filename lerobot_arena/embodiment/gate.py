# SPDX-License-Identifier: Apache-2.0
"""Which commands an embodiment accepts. Pure: time, publishers and commands are told to it."""

import threading
from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from lerobot_arena.core.clock import NS, Clock, seconds_between
from lerobot_arena.core.cycle import JointCommand
from lerobot_arena.core.errors import Conflict, InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec

_LONGEST_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True)
class GateRules:
    """`max_command_age_s` 0 switches the comparison of stamps off."""

    command_timeout_s: float
    limit_tolerance_rad: float
    max_command_age_s: float


class CommandGate:
    """Judges every command before it moves anything, and knows when commands stopped coming.

    Commands of one epoch must count upwards, a newer epoch replaces an older one for good, and after an emergency
    only an epoch newer than any seen is let in: a stop is never undone by what was already on its way.

    A joint that stands outside its limits may be sent where it is or further in. How far in it already came is
    remembered for the epoch, so that an arm which yields cannot be led out step by step.
    """

    def __init__(self, robot: RobotSpec, rules: GateRules, clock: Clock) -> None:
        self._robot = robot
        self._names = robot.joint_names
        limits = robot.limits()
        self._lower, self._upper = limits.lower, limits.upper
        # The innermost places at which joints outside their limits were measured in this epoch; else the limits.
        self._lowest, self._highest = limits.lower, limits.upper
        self._rules = rules
        self._clock = clock
        self._lock = threading.Lock()
        self._epoch = 0
        self._sequence = -1
        self._lowest_epoch = 0
        self._accepted_ns: int | None = None
        self._is_stopped = False
        self.received = 0
        self.refused = 0
        self.refusal = ""

    @property
    def is_stopped(self) -> bool:
        return self._is_stopped

    @property
    def is_holding(self) -> bool:
        """True while no accepted command is younger than the time-out."""
        accepted_ns = self._accepted_ns
        return (
            self._is_stopped
            or accepted_ns is None
            or (seconds_between(accepted_ns, self._clock.steady_ns()) > self._rules.command_timeout_s)
        )

    def accept(
        self, command: JointCommand, living_publishers: Set[str], measured: FloatArray | None = None
    ) -> FloatArray:
        """Targets in radians, in the robot's order. Raises InvalidInput or Conflict with the reason; counts both.

        `measured` is where the joints are now, in radians and the robot's order; None when that is not known.
        """
        with self._lock:
            self.received += 1
            try:
                bounds = self._bounds(command.epoch, measured)
                positions = self._judge(command, living_publishers, bounds)
            except (InvalidInput, Conflict) as error:
                self.refused += 1
                self.refusal = str(error)
                raise
            if measured is not None:
                self._lowest, self._highest = bounds
            self._epoch, self._sequence = command.epoch, command.sequence
            self._accepted_ns = self._clock.steady_ns()
            return positions

    def refuse(self, reason: str) -> None:
        """Count a command that could not even be judged."""
        with self._lock:
            self.received += 1
            self.refused += 1
            self.refusal = reason

    def stop(self) -> None:
        """Latch: nothing is accepted until `clear`, and no epoch seen so far ever again."""
        with self._lock:
            self._is_stopped = True
            self._lowest_epoch = self._epoch + 1

    def interrupt(self) -> None:
        """The arm could not be driven: what comes of the epochs seen so far is over; a new start may go on."""
        with self._lock:
            self._lowest_epoch = self._epoch + 1

    def clear(self) -> None:
        """Unlatch; commands need a new epoch."""
        with self._lock:
            self._is_stopped = False

    def _bounds(self, epoch: int, measured: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest target of each joint, without the tolerance: the limits, or the place outside them."""
        if measured is None or measured.shape != self._lower.shape or not np.isfinite(measured).all():
            return self._lower, self._upper
        lowest, highest = np.minimum(self._lower, measured), np.maximum(self._upper, measured)
        if epoch != self._epoch:
            return lowest, highest
        return np.maximum(lowest, self._lowest), np.minimum(highest, self._highest)

    def _judge(
        self, command: JointCommand, living_publishers: Set[str], bounds: tuple[FloatArray, FloatArray]
    ) -> FloatArray:
        if self._is_stopped:
            raise Conflict("Emergency stop: commands are ignored until it is cleared.")
        if len(living_publishers) > 1:
            raise Conflict(
                f"{len(living_publishers)} nodes publish commands ({', '.join(sorted(living_publishers))}); "
                "stop all but the guard."
            )
        self._judge_order(command)
        self._judge_times(command)
        return self._judge_positions(command, bounds)

    def _judge_order(self, command: JointCommand) -> None:
        if command.epoch < max(self._epoch, self._lowest_epoch):
            raise Conflict(
                f"The command belongs to epoch {command.epoch}, which is over; start again to open a new one."
            )
        if command.epoch == self._epoch and command.sequence <= self._sequence:
            raise Conflict(
                f"Command {command.sequence} came after {self._sequence} of the same epoch: late or repeated."
            )

    def _judge_times(self, command: JointCommand) -> None:
        if not 0.0 < command.period_s <= _LONGEST_PERIOD_S:
            raise InvalidInput(f"The command's period of {command.period_s} s is outside 0 to 1 s.")
        limit_s = self._rules.max_command_age_s
        age_s = (self._clock.wall_ns() - command.stamp_ns) / NS
        if limit_s and abs(age_s) > limit_s:
            when = "old" if age_s > 0 else "in the future"
            raise InvalidInput(
                f"The command's stamp is {abs(age_s):.2f} s {when}. Set max_command_age_s to 0 when guard and "
                "embodiment run on machines with different clocks."
            )

    def _judge_positions(self, command: JointCommand, bounds: tuple[FloatArray, FloatArray]) -> FloatArray:
        if len(command.positions) != len(command.joint_names):
            raise InvalidInput(
                f"The command has {len(command.positions)} positions for {len(command.joint_names)} joints."
            )
        if command.joint_names == self._names:
            values = np.array(command.positions, dtype=np.float64)
        else:
            self._check_names(command.joint_names)
            by_name = dict(zip(command.joint_names, command.positions, strict=True))
            values = np.array([by_name[name] for name in self._names], dtype=np.float64)
        if not np.isfinite(values).all():
            raise InvalidInput("The command has a position that is not a finite number.")
        lowest, highest = bounds
        tolerance = self._rules.limit_tolerance_rad
        if outside := np.flatnonzero((values < lowest - tolerance) | (values > highest + tolerance)).tolist():
            joint = self._robot.joints[outside[0]]
            raise InvalidInput(
                f"The command wants {joint.name} at {values[outside[0]]:.4f} rad; "
                f"it may be {lowest[outside[0]]:.4f} to {highest[outside[0]]:.4f} rad."
            )
        return values

    def _check_names(self, names: tuple[str, ...]) -> None:
        unknown, missing = set(names) - set(self._names), set(self._names) - set(names)
        if unknown or missing or len(names) != len(self._names):
            parts = [f"unknown {', '.join(sorted(unknown))}"] if unknown else []
            parts += [f"missing {', '.join(sorted(missing))}"] if missing else []
            raise InvalidInput(
                f"The command does not name this arm's joints: {'; '.join(parts or ['one is named twice'])}."
            )
