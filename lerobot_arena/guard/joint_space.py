# SPDX-License-Identifier: Apache-2.0
"""Which joints an arm has, in which unit it is checked, and what a policy's numbers are in that unit."""

from dataclasses import dataclass

import numpy as np

from lerobot_arena.core.chunk import ActionChunk, check_chunk_shape
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import Limits, RobotSpec
from lerobot_arena.core.units import NORMALIZED, RADIANS, check_unit
from lerobot_arena.guard.checks.protocol import JointLimits
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.params import GuardParams


@dataclass(frozen=True, slots=True)
class JointSpace:
    """Names in the arm's order; `unit` is what is checked. `robot` is None when no robot file fits."""

    joint_names: tuple[str, ...]
    unit: str
    limits: JointLimits
    robot: RobotSpec | None

    @property
    def spans(self) -> Vector:
        return tuple(high - low for low, high in zip(self.limits.lower, self.limits.upper))

    def order(self, names: tuple[str, ...], what: str) -> list[int]:
        """Where each joint of this arm is in `names`. Raises InvalidInput unless they name all of them, once."""
        if self.robot is not None:
            return self.robot.order(names, what)
        bare = [name.removesuffix(".pos") for name in names]
        if sorted(bare) != sorted(self.joint_names):
            raise InvalidInput(
                f"{what} names the joints {', '.join(bare) or '(none)'}; "
                f"this arm has {', '.join(self.joint_names)}."
            )
        return [bare.index(name) for name in self.joint_names]

    def problem_of(self, joint_names: tuple[str, ...], unit: str) -> str:
        """Why a policy with these joints and unit cannot drive this arm; empty when it can."""
        try:
            self.order(joint_names, "The policy")
            if unit and check_unit(unit) != self.unit and self.robot is not None:
                self.robot.affine(unit)
        except InvalidInput as error:
            return str(error)
        return ""

    def rows(self, chunk: ActionChunk) -> tuple[Vector, ...]:
        """A chunk's steps in this unit and order. Raises InvalidInput when names, size or unit do not fit.

        Values are not judged here: a NaN stays one, for the checks to see.
        """
        check_chunk_shape(chunk)
        ordered = chunk.actions[:, self.order(chunk.joint_names, "The action chunk")]
        if chunk.unit != self.unit:
            if self.robot is None or self.unit != RADIANS:
                raise InvalidInput(
                    f"The action chunk is in {chunk.unit!r}; this arm is checked in {self.unit}."
                )
            with np.errstate(over="ignore", invalid="ignore"):
                ordered = self.robot.to_radians(ordered, check_unit(chunk.unit))
        return tuple(map(tuple, ordered.tolist()))

    def measured(self, sample: JointSample) -> dict[str, float]:
        """A joint message as values by this arm's names, in its unit; it may name a part of the joints.

        Raises InvalidInput for an unknown or repeated name, another unit, or a value that is not finite.
        """
        if sample.unit not in {"", self.unit}:
            raise InvalidInput(f"The joint state is in {sample.unit!r}; this arm is checked in {self.unit}.")
        names = [self._own_name(name) for name in sample.names]
        if len(set(names)) != len(names):
            raise InvalidInput(f"The joint state names a joint twice: {', '.join(sample.names)}.")
        values = dict(zip(names, sample.values.tolist(), strict=True))
        if bad := [name for name, value in values.items() if not np.isfinite(value)]:
            raise InvalidInput(f"The joint state is not finite: {', '.join(bad)}.")
        return values

    def _own_name(self, name: str) -> str:
        bare = name.removesuffix(".pos")
        if bare in self.joint_names:
            return bare
        for joint in self.robot.joints if self.robot is not None else ():
            if bare in joint.aliases:
                return joint.name
        raise InvalidInput(f"The joint state names {name!r}; this arm has {', '.join(self.joint_names)}.")

    def in_unit(self, executed: Vector, unit: str) -> Vector:
        """Executed values in the policy's unit, for the joint-output room. Raises InvalidInput."""
        if unit in {"", self.unit} or self.robot is None:
            return executed
        return tuple(self.robot.from_radians(np.array(executed), unit).tolist())


def _plain(limits: Limits) -> JointLimits:
    return JointLimits(
        tuple(limits.lower.tolist()),
        tuple(limits.upper.tolist()),
        tuple(limits.max_velocity.tolist()),
        tuple(limits.max_acceleration.tolist()),
    )


def arm_space(robot: RobotSpec) -> JointSpace:
    """A real or simulated arm: radians, the robot file's limits."""
    return JointSpace(robot.joint_names, RADIANS, _plain(robot.limits()), robot)


def virtual_space(
    joint_names: tuple[str, ...], unit: str, *, robot: RobotSpec, params: GuardParams
) -> JointSpace:
    """A virtual arm in its session's own unit. Raises InvalidInput when no limits are known for it.

    `normalized` bounds itself (±100, grippers 0..100) with the configured rates; other units need the robot file.
    """
    if not joint_names or not unit:
        raise InvalidInput("The session's joint names and unit are not known yet.")
    if len(set(joint_names)) != len(joint_names):
        raise InvalidInput(f"The session names a joint twice: {', '.join(joint_names)}.")
    if check_unit(unit) == NORMALIZED:
        return _normalized_space(joint_names, params)
    try:
        robot.order(joint_names, "The session")
    except InvalidInput as error:
        raise InvalidInput(
            f"No limits are known for a virtual arm in {unit}: {error} Use unit 'normalized', or give the robot file."
        ) from error
    return JointSpace(robot.joint_names, unit, _plain(robot.limits(unit)), robot)


def _normalized_space(joint_names: tuple[str, ...], params: GuardParams) -> JointSpace:
    names = tuple(name.removesuffix(".pos") for name in joint_names)
    count = len(names)
    return JointSpace(
        names,
        NORMALIZED,
        JointLimits(
            tuple(0.0 if name.endswith("gripper") else -100.0 for name in names),
            (100.0,) * count,
            (params.normalized_velocity_per_s,) * count,
            (params.normalized_acceleration_per_s2,) * count,
        ),
        None,
    )
