# SPDX-License-Identifier: Apache-2.0
"""The rim: everything that touches rclpy or message types, besides the node.py files."""
