# SPDX-License-Identifier: Apache-2.0
"""Parameters of the embodiment node; config/embodiment.yaml is written from them."""

from dataclasses import dataclass

from lerobot_arena.core.params import param

MUJOCO, LEROBOT, TOPICS = "mujoco", "lerobot", "topics"
TRAJECTORY, GROUP = "trajectory", "group"


@dataclass(frozen=True, slots=True)
class EmbodimentParams:
    """Grouped by who reads them: all backends, the simulator, LeRobot robots, arms behind topics."""

    backend: str = param(MUJOCO, "What moves.", choices=(MUJOCO, LEROBOT, TOPICS))
    robot: str = param("so101", "Robot file: a shipped name or the path of a .yaml file.")
    joint_rate_hz: float = param(100.0, "How often joints are read and published.", lowest=1.0, highest=200.0)
    command_timeout_s: float = param(
        0.25, "Without a command for this long the arm counts as holding.", lowest=0.02, highest=5.0
    )
    limit_tolerance_rad: float = param(
        0.02, "How far past a limit of the robot file a command may lie.", lowest=0.0, highest=0.2
    )
    max_command_age_s: float = param(
        0.5,
        "Older or more futuristic command stamps are refused; 0 where guard and embodiment have different clocks.",
        lowest=0.0,
        highest=60.0,
    )
    publish_cameras: bool = param(True, "Publish camera images.")
    urdf: str = param("", "URDF to publish as robot_description; empty: the SO-101's for an SO-101.")

    seed: int = param(
        0, "mujoco: scene of the first episode; each reset adds one.", lowest=0, highest=2**31 - 1
    )

    robot_config: str = param("", "lerobot: .json or .yaml file with the LeRobot robot's type and fields.")
    plugins: tuple[str, ...] = param(
        (), "lerobot: Python modules to import first; they register robot types."
    )
    robot_unit: str = param(
        "",
        "lerobot: unit the robot speaks; empty: as its motors say.",
        choices=("", "normalized", "degrees", "radians"),
    )
    torque_warning_s: float = param(
        3.0, "lerobot: time to support the arm before connecting cuts its torque.", lowest=0.0, highest=60.0
    )

    hardware_rate_hz: float = param(
        1.0,
        "lerobot: how often the motors are asked for temperature, voltage, current and errors; 0: never.",
        lowest=0.0,
        highest=2.0,
    )
    torque_off_on_estop: bool = param(
        False,
        "lerobot: cut the torque on an emergency stop instead of holding. THE ARM FALLS; what it holds, too.",
    )

    joint_topic: str = param("/joint_states", "topics: JointState of the running arm.")
    command_kind: str = param(
        TRAJECTORY,
        "topics: JointTrajectory for a joint_trajectory_controller, or Float64MultiArray for a position group.",
        choices=(TRAJECTORY, GROUP),
    )
    command_topic: str = param(
        "/joint_trajectory_controller/joint_trajectory", "topics: where the controller listens."
    )
    trajectory_periods: float = param(
        2.0,
        "topics: a trajectory's one point is due after this many control periods.",
        lowest=1.0,
        highest=10.0,
    )
    joint_source_timeout_s: float = param(
        0.5,
        "topics: without a joint message for this long the arm is not connected.",
        lowest=0.05,
        highest=10.0,
    )
    camera_topics: tuple[str, ...] = param((), "topics: cameras to relay, as name=/its/image/topic.")
