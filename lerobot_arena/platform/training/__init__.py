# SPDX-License-Identifier: Apache-2.0
"""From demonstrations to a shipped policy: collect, train with LeRobot, export, measure."""
