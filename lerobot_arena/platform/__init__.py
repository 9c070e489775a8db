# SPDX-License-Identifier: Apache-2.0
"""Accounts, catalog, training and jobs: what needs no ROS."""
