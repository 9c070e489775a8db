# SPDX-License-Identifier: Apache-2.0
"""Parameters with which each optional guard check can be built for an SO-101, for contract suites and benches."""

from collections.abc import Mapping
from typing import Any

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    # the robot's body
    "jerk": {"rise_time_s": 0.03},
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
