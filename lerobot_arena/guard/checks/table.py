# SPDX-License-Identifier: Apache-2.0
"""The check table: within a phase, checks are asked in this order."""

from lerobot_arena.core.registry import Registry

_HERE = "lerobot_arena.guard.checks"
CHECKS = Registry(
    "guard check",
    {
        "joint_age": f"{_HERE}.joint_age:JointAge",
        "single_publisher": f"{_HERE}.single_publisher:SinglePublisher",
        "pacing": f"{_HERE}.pacing:Pacing",
        "action_present": f"{_HERE}.action_present:ActionPresent",
        "action_age": f"{_HERE}.action_age:ActionAge",
        "shape_names": f"{_HERE}.shape_names:ShapeNames",
        "finite": f"{_HERE}.finite:Finite",
        "unit_suspicion": f"{_HERE}.unit_suspicion:UnitSuspicion",
        "position_limits": f"{_HERE}.position_limits:PositionLimits",
        "velocity": f"{_HERE}.velocity:Velocity",
        "acceleration": f"{_HERE}.acceleration:Acceleration",
    },
)
CORE_CHECKS = tuple(CHECKS)
