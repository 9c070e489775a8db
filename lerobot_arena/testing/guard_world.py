# SPDX-License-Identifier: Apache-2.0
"""A guarded arm with its world in memory, as `arena guard verify` uses it."""

from lerobot_arena.guard.verify.world import GuardWorld, Policy, WrittenPorts, hold_still, plain_config

__all__ = ["GuardWorld", "Policy", "WrittenPorts", "hold_still", "plain_config"]
