# SPDX-License-Identifier: Apache-2.0
"""Keeps a table of processes running: `arena up` and `arena demo`. Launch files use ROS 2's own launch instead."""
