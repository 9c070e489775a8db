# SPDX-License-Identifier: Apache-2.0
"""What a session drives: a simulator, any LeRobot robot, or an arm that runs under ros2_control already."""
