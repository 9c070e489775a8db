# SPDX-License-Identifier: Apache-2.0
"""Recordings: MCAP files that are loopback sessions, rosbag2 and Foxglove files at once."""
