# SPDX-License-Identifier: Apache-2.0
"""lerobot_arena: from demonstration to trusted deployment of a robot policy. Imports nothing."""

__version__ = "0.1.0"
