# SPDX-License-Identifier: Apache-2.0
"""What contract suites and benches of the guard's checks begin with: parameters, an arm, and a good cycle of it."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.robot import load_robot
from lerobot_arena.guard.checks.protocol import Body, CheckInput
from lerobot_arena.guard.joint_space import arm_space
from lerobot_arena.guard.robot_model import geometry_of, opening_of

# Parameters with which each optional check can be built.
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    # the robot's body
    "jerk": {"rise_time_s": 0.02},
    "workspace_box": {"lower_m": [0.02, -0.4, -0.01], "upper_m": [0.45, 0.4, 0.5]},
    "keep_out_sphere": {"centre_m": [0.3, 0.3, 0.1], "radius_m": 0.08},
    "tilt": {"direction": [0.0, 0.0, -1.0], "max_tilt_rad": 1.0},
    "end_effector_speed": {"max_speed_m_s": 1.0},
    "self_collision": {"margin_m": 0.002},
    "table_clearance": {"margin_m": 0.0},
    # the task
    "task_workspace": {"lower_m": [0.02, -0.35, 0.0], "upper_m": [0.4, 0.35, 0.4]},
    "task_speed": {"max_norm": 6.0, "max_joint_speed": 4.0},
    "gripper_rule": {"allowed_command": "close"},
    "task_timeout": {"timeout_s": 60.0},
    "frozen_policy": {},
    # out of distribution
    "chunk_overlap": {},
    "ood": {},
    "camera_health": {},
    # hardware
    "following_error": {},
    "frozen_sensor": {},
    "temperature": {},
    "current": {},
    "voltage": {},
    "force_torque": {},
    "host_health": {},
}

# Drawn back with the gripper down and half open, far from every limit.
_HERE = (0.0, -0.8, 0.5, 1.4, 0.1, 0.8)


@cache
def so101_body() -> Body:
    """An SO-101 as the guard checks it, with its geometry; share it within one thread."""
    robot = load_robot("so101")
    space = arm_space(robot)
    return Body(
        space.joint_names, space.unit, space.limits, geometry=geometry_of(robot), opening=opening_of(robot)
    )


def good_cycle() -> CheckInput:
    """A cycle of `so101_body()` that no check objects to."""
    body, count = so101_body(), len(_HERE)
    return CheckInput(
        joint_names=body.joint_names,
        unit=body.unit,
        limits=body.limits,
        dt_s=body.period_s,
        measured=_HERE,
        joint_age_s=0.01,
        previous_command=_HERE,
        previous_velocity=(0.0,) * count,
        previous_acceleration=(0.0,) * count,
        proposed=(0.001, *_HERE[1:]),
        proposed_names=body.joint_names,
        action_age_s=0.1,
        now_s=100.0,
        run_s=5.0,
        chunk_sequence=1,
        overlap=0.02,
        scores=MappingProxyType({"ood": Score("ood", 0.5, 1.0), "dark:front": Score("dark:front", 0.4, 0.9)}),
        scores_age_s=0.1,
        hardware=HardwareReading(
            0,
            body.joint_names,
            (40.0,) * count,
            (0.2,) * count,
            (12.0,) * count,
            (1.0, 2.0, 2.0),
            (0.1, 0.0, 0.0),
        ),
        hardware_age_s=0.4,
        host=HostHealth(35.0, 40.0, 60.0, 10_000_000_000),
        host_age_s=0.5,
        embodiment_age_s=0.2,
    )
