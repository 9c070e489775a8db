# SPDX-License-Identifier: Apache-2.0
"""Policies kept running: as many instances as are used, and none when nobody asks."""
