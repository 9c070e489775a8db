# SPDX-License-Identifier: Apache-2.0
"""The check table: within a phase, checks are asked in this order."""

from lerobot_arena.core.registry import Registry

_HERE = "lerobot_arena.guard.checks"
# Always there, whatever the boundaries say.
_CORE = {
    "joint_age": f"{_HERE}.joint_age:JointAge",
    "heartbeat": f"{_HERE}.heartbeat:Heartbeat",
    "single_publisher": f"{_HERE}.single_publisher:SinglePublisher",
    "pacing": f"{_HERE}.pacing:Pacing",
    "teleport": f"{_HERE}.teleport:Teleport",
    "action_present": f"{_HERE}.action_present:ActionPresent",
    "action_age": f"{_HERE}.action_age:ActionAge",
    "shape_names": f"{_HERE}.shape_names:ShapeNames",
    "finite": f"{_HERE}.finite:Finite",
    "unit_suspicion": f"{_HERE}.unit_suspicion:UnitSuspicion",
    "position_limits": f"{_HERE}.position_limits:PositionLimits",
    "velocity": f"{_HERE}.velocity:Velocity",
    "acceleration": f"{_HERE}.acceleration:Acceleration",
}
# There when a boundary asks for them.
_OPTIONAL = {
    # the robot's body (L1)
    "jerk": f"{_HERE}.jerk:Jerk",
    "workspace_box": f"{_HERE}.workspace_box:WorkspaceBox",
    "keep_out_sphere": f"{_HERE}.keep_out_sphere:KeepOutSphere",
    "tilt": f"{_HERE}.tilt:Tilt",
    "end_effector_speed": f"{_HERE}.end_effector_speed:EndEffectorSpeed",
    "self_collision": f"{_HERE}.self_collision:SelfCollision",
    "table_clearance": f"{_HERE}.table_clearance:TableClearance",
    # the task (L2)
    "task_workspace": f"{_HERE}.task_workspace:TaskWorkspace",
    "task_speed": f"{_HERE}.task_speed:TaskSpeed",
    "gripper_rule": f"{_HERE}.gripper_rule:GripperRule",
    "task_timeout": f"{_HERE}.task_timeout:TaskTimeout",
    "frozen_policy": f"{_HERE}.frozen_policy:FrozenPolicy",
    # out of distribution (L0)
    "chunk_overlap": f"{_HERE}.chunk_overlap:ChunkOverlap",
    "ood": f"{_HERE}.ood:OutOfDistribution",
    "camera_health": f"{_HERE}.camera_health:CameraHealth",
    # hardware (L3)
    "following_error": f"{_HERE}.following_error:FollowingError",
    "frozen_sensor": f"{_HERE}.frozen_sensor:FrozenSensor",
    "temperature": f"{_HERE}.temperature:Temperature",
    "current": f"{_HERE}.current:Current",
    "voltage": f"{_HERE}.voltage:Voltage",
    "force_torque": f"{_HERE}.force_torque:ForceTorque",
    "host_health": f"{_HERE}.host_health:HostHealthLimit",
}
CHECKS = Registry("guard check", _CORE | _OPTIONAL)
CORE_CHECKS = tuple(_CORE)
# Kept under every enforcement mode, together with the e-stop.
MANDATORY_CHECKS = frozenset({"action_present", "shape_names", "finite"})
