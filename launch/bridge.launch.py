# SPDX-License-Identifier: Apache-2.0
"""The bridge alone, for arms whose other processes run already or elsewhere.

ros2 launch lerobot_arena bridge.launch.py port:=8001
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

FORWARDED = (
    ("host", "", "Address on which the bridge listens; empty: ARENA_BRIDGE_HOST, else loopback."),
    ("port", "8001", "Port on which the bridge listens."),
    ("policy_roots", "", "Folders that hold checkpoints, parted by ':'."),
    ("params_file", "", "ROS 2 parameter file."),
    ("use_sim_time", "false", "Take stamps from /clock."),
    ("log_level", "info", "Least severity logged."),
    ("dds", "local", "Fast DDS profile: local stays on this machine, network does not."),
)


def generate_launch_description() -> LaunchDescription:
    """One row of the table that arena.launch.py starts from."""
    arena = str(Path(__file__).with_name("arena.launch.py"))
    forwarded = {name: LaunchConfiguration(name) for name, *_ in FORWARDED}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=value, description=text)
                for name, value, text in FORWARDED
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(arena),
                launch_arguments={**forwarded, "processes": "bridge"}.items(),
            ),
        ]
    )
