# SPDX-License-Identifier: Apache-2.0
"""The part the loop cannot do without: a fixed-rate cycle of source → queue → checks → command, and its latch.

`node.py` is the ROS edge; everything else is free of ROS and takes its clock from outside.
"""
